# rmt: build, train, test. `make help` lists the targets; the first line of every build says what was found.
#   ARCH=native      instruction set to build for (x86-64-v3 = AVX2, runs on any x86 of the last ten years; x86-64-v4 = AVX-512)
#   SAN=1            address and undefined-behaviour sanitizers (own objects under build/san)
#   V=1              print the commands

CXX      ?= g++
ARCH     ?= native
SAN      ?= 0
V        ?= 0
MODEL    ?= rmt_n
DATA     ?=
EPOCHS   ?=
ARGS     ?=
FILTER   ?= *

BUILD    := build$(if $(filter 1,$(SAN)),/san)$(if $(filter-out native,$(ARCH)),/$(ARCH))
# aarch64 compilers spell the same wish -mcpu.
MARCH    := $(if $(filter aarch64,$(shell uname -m)),-mcpu=$(ARCH),-march=$(ARCH))
ifeq ($(SAN),1)
OPT      := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
else
OPT      := -O3
endif
CXXFLAGS += -std=c++20 -g1 $(OPT) $(MARCH) -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra -Wshadow -Wno-psabi -Wno-missing-field-initializers -I. -pthread
LDFLAGS  += -pthread
NVCC     := $(shell command -v nvcc 2>/dev/null)
ISA      := $(shell echo | $(CXX) $(MARCH) -dM -E -x c++ - 2>/dev/null | awk '/__AVX512F__/{a=1} /__AVX2__/{b=1} /__ARM_NEON /{c=1} END{print a?"AVX-512":b?"AVX2":c?"NEON":"generic"}')
Q        := $(if $(filter 1,$(V)),,@)

LIB_SRC  := $(wildcard core/*.cpp autograd/*.cpp ops/*.cpp nn/*.cpp nn/*/*.cpp data/*.cpp train/*.cpp)
TEST_SRC := $(wildcard tests/*.cpp tests/*/*.cpp)
BIN_SRC  := $(wildcard examples/*.cpp)
LIB      := $(BUILD)/lib/librmt.a
BINS     := $(BIN_SRC:examples/%.cpp=$(BUILD)/bin/%)
TESTS    := $(BUILD)/tests/rmt-tests
OBJ      = $(1:%.cpp=$(BUILD)/obj/%.o)

.PHONY: all help setup found train test check format layers clean
.DELETE_ON_ERROR:
.SECONDARY:

all: found $(LIB) $(BINS)

help:
	@echo "make            the library build/lib/librmt.a and the programs build/bin/*"
	@echo "make train      install what is missing, build, and train (DATA=folder MODEL=rmt_t EPOCHS=n ARGS='...'; without DATA on images that it draws)"
	@echo "make test       install what is missing, build, and run every test (FILTER='Gelu*', SAN=1)"
	@echo "make check      formatting, include layers, a check_op for every op, then the tests"
	@echo "make format     rewrite the sources in the project's style"
	@echo "make clean      remove build/"

found:
	@echo "rmt: $$($(CXX) --version | head -n 1), $(ISA) ($(ARCH)), $(if $(NVCC),CUDA toolkit found (not used by this version),CUDA no)"

# --- what the system must have: nothing is asked for when all is there ---
setup:
	@sh tests/setup.sh "$(CXX)"

$(LIB): $(call OBJ,$(LIB_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/bin/%: $(BUILD)/obj/examples/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) $^ -o $@

$(TESTS): $(call OBJ,$(TEST_SRC)) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) $^ -lgtest -lgtest_main -o $@

$(BUILD)/obj/%.o: %.cpp
	@mkdir -p $(@D)
	@echo "  $(CXX) $<"
	$(Q)$(CXX) $(CXXFLAGS) -MMD -MP -c $< -o $@

# The one file with stb_image in it, which reads bytes from anywhere. Its Huffman decoder shifts by 32 on damaged files: undefined, without effect.
$(BUILD)/obj/data/image.o: CXXFLAGS += -fno-strict-aliasing -fstack-protector-strong $(if $(filter 1,$(SAN)),-fno-sanitize=shift,-D_FORTIFY_SOURCE=2)

train: setup
	@$(MAKE) --no-print-directory all
	$(BUILD)/bin/rmt-train $(if $(DATA),--data-dir $(DATA)) --model $(MODEL) $(if $(EPOCHS),--epochs $(EPOCHS)) $(ARGS)

test: setup
	@$(MAKE) --no-print-directory found $(TESTS) $(BINS)
	@BIN=$(BUILD)/bin sh tests/run.sh $(TESTS) --gtest_filter='$(FILTER)'

check: setup
	@sh tests/check.sh
	@$(MAKE) --no-print-directory test

format:
	clang-format -i $$(git ls-files '*.h' '*.cpp')

clean:
	rm -rf build

-include $(patsubst %.o,%.d,$(call OBJ,$(LIB_SRC) $(TEST_SRC) $(BIN_SRC)))
