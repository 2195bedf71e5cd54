# rmt: build, train, test. `make help` lists the targets; the first line of every build says what was found.
#   ARCH=native      instruction set to build for (x86-64-v3 = AVX2, runs on any x86 of the last ten years; x86-64-v4 = AVX-512)
#   CUDA=1           kernels for a GPU by nvcc (needs the CUDA toolkit and no GPU; own objects under build/cuda). Without it the GPU is emulated.
#   CUDA_ARCHS="90"  compute capabilities to build for; default: all of 80 86 89 90 100 120 that nvcc knows, and PTX of the newest
#   SAN=1            address and undefined-behaviour sanitizers in everything (own objects under build/san); the kernels in `make test` always have them
#   V=1              print the commands

CXX      ?= g++
ARCH     ?= native
CUDA     ?= 0
SAN      ?= 0
V        ?= 0
MODEL    ?= rmt_n
DATA     ?=
EPOCHS   ?=
ARGS     ?=
FILTER   ?= *

BUILD    := build$(if $(filter 1,$(CUDA)),/cuda)$(if $(filter 1,$(SAN)),/san)$(if $(filter-out native,$(ARCH)),/$(ARCH))
# aarch64 compilers spell the same wish -mcpu.
MARCH    := $(if $(filter aarch64,$(shell uname -m)),-mcpu=$(ARCH),-march=$(ARCH))
SANITIZE := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT      := $(if $(filter 1,$(SAN)),$(SANITIZE),-O3)
CXXFLAGS += -std=c++20 -g1 $(OPT) $(MARCH) -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra -Wshadow -Wno-psabi -Wno-missing-field-initializers $(if $(filter 1,$(CUDA)),-DRMT_CUDA) -I. -pthread
LDFLAGS  += -pthread
NVCC     ?= $(shell command -v nvcc 2>/dev/null || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
ISA      := $(shell echo | $(CXX) $(MARCH) -dM -E -x c++ - 2>/dev/null | awk '/__AVX512F__/{a=1} /__AVX2__/{b=1} /__ARM_NEON /{c=1} END{print a?"AVX-512":b?"AVX2":c?"NEON":"generic"}')
Q        := $(if $(filter 1,$(V)),,@)

EMULATOR := $(wildcard core/cuda/emulator/*.cpp)
LIB_DIRS := core core/files autograd ops ops/attention ops/kernels nn nn/rmt data data/images data/sets train train/weights train/run
LIB_SRC  := $(wildcard $(LIB_DIRS:%=%/*.cpp))
CU_SRC   := $(wildcard core/cuda/*.cu ops/*.cu ops/*/*.cu train/*.cu)
TEST_SRC := $(wildcard tests/*.cpp tests/*/*.cpp tests/*/*/*.cpp tests/*/*/*/*.cpp)
TEST_CU  := $(wildcard tests/*/*.cu tests/*/*/*.cu tests/*/*/*/*.cu)
FUZZERS  := $(patsubst tests/fuzz/%_fuzz.cpp,%,$(wildcard tests/fuzz/*_fuzz.cpp))
BIN_SRC  := $(wildcard examples/*.cpp examples/tours/*.cpp)
LIB      := $(BUILD)/lib/librmt.a
TOUR_CU  := $(wildcard examples/tours/*.cu)
BINS     := $(addprefix $(BUILD)/bin/,$(notdir $(BIN_SRC:.cpp=) $(TOUR_CU:.cu=)))
TESTS    := $(BUILD)/tests/rmt-tests
OBJ      = $(1:%.cpp=$(BUILD)/obj/%.o)

# --- the GPU: kernels by nvcc, or by the host's compiler for the emulated device; `make test` runs the latter under the sanitizers ---
ifeq ($(CUDA),1)
ifeq ($(NVCC),)
$(error CUDA=1 needs nvcc, and there is none on PATH or in /usr/local/cuda; install the CUDA toolkit, or build without CUDA=1)
endif
CUDA_HOME  ?= $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
CUDA_ARCHS ?= $(filter $(patsubst compute_%,%,$(shell $(NVCC) --list-gpu-arch)),80 86 89 90 100 120)
GENCODE    := $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) -gencode arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))
CU_OBJ     := $(CU_SRC:%.cu=$(BUILD)/obj/%.cu.o)
TEST_KERNELS :=
LDLIBS     += -L$(CUDA_HOME)/lib64 -lcublasLt -lcudart -Wl,-rpath,$(CUDA_HOME)/lib64
else
CU_OBJ     := $(CU_SRC:%.cu=$(BUILD)/obj/%.cu.o) $(call OBJ,$(EMULATOR))
TEST_KERNELS := $(patsubst %.cu,$(BUILD)/kernels/%.cu.o,$(CU_SRC) $(TEST_CU)) $(EMULATOR:%.cpp=$(BUILD)/kernels/%.o)
TEST_FLAGS := $(SANITIZE)
endif
NVCCFLAGS := -std=c++20 -O3 -lineinfo --expt-relaxed-constexpr -Werror all-warnings -Xcompiler -Wall,-Wextra,-Wno-psabi -ccbin $(CXX) -I.

.PHONY: all help setup found train test check fuzz ptxas gpu format clean
.DELETE_ON_ERROR:
.SECONDARY:

all: found $(LIB) $(BINS)

help:
	@echo "make            the library build/lib/librmt.a and the programs build/bin/*"
	@echo "make train      install what is missing, build, and train (DATA=folder MODEL=rmt_t EPOCHS=n ARGS='...'; without DATA on images that it draws)"
	@echo "make test       install what is missing, build, and run every test (FILTER='Gelu*', SAN=1)"
	@echo "make check      formatting, include layers, a check_op for every op, every kernel through nvcc where there is one, then the tests"
	@echo "make fuzz       libFuzzer against a reader (TARGET=name SECONDS=600, of $(FUZZERS); needs clang++)"
	@echo "make gpu        all that needs a real GPU: tests, sanitizers, kernels and models measured (tests/gpu.sh says with what beside them)"
	@echo "make ptxas      a table of the kernels: registers, shared memory, spills (needs nvcc, no GPU)"
	@echo "make format     rewrite the sources in the project's style"
	@echo "make clean      remove build/"

found:
	@echo "rmt: $$($(CXX) --version | head -n 1), $(ISA) ($(ARCH)), GPU $(if $(filter 1,$(CUDA)),by $(shell $(NVCC) --version | sed -n 's/.*\(release [0-9.]*\).*/nvcc \1/p') for $(CUDA_ARCHS),emulated$(if $(NVCC), (make CUDA=1 for a real one)))"

# --- what the system must have: nothing is asked for when all is there ---
setup:
	@sh tests/setup.sh "$(CXX)"

$(LIB): $(call OBJ,$(LIB_SRC)) $(CU_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^

LINK = $(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(BUILD)/bin/%: $(BUILD)/obj/examples/%.o $(LIB)
	@mkdir -p $(@D)
	$(LINK)
$(BUILD)/bin/%: $(BUILD)/obj/examples/tours/%.o $(LIB)
	@mkdir -p $(@D)
	$(LINK)
$(BUILD)/bin/%: $(BUILD)/obj/examples/tours/%.cu.o $(LIB)
	@mkdir -p $(@D)
	$(LINK)

$(TESTS): $(call OBJ,$(TEST_SRC)) $(TEST_KERNELS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(TEST_FLAGS) $(LDFLAGS) $^ $(LDLIBS) -lgtest -lgtest_main -o $@

$(BUILD)/obj/%.o: %.cpp
	@mkdir -p $(@D)
	@echo "  $(CXX) $<"
	$(Q)$(CXX) $(CXXFLAGS) -MMD -MP -c $< -o $@

# Optimised a little, so that emulation is quick and a debugger still stops at every line and finds every variable.
FOR_EMULATOR = $(CXX) $(CXXFLAGS) -Og -g -gno-statement-frontiers -fcf-protection=none -Wno-unknown-pragmas
$(BUILD)/obj/%.cu.o: %.cu
	@mkdir -p $(@D)
	@echo "  $(if $(filter 1,$(CUDA)),$(NVCC),$(CXX)) $<"
ifeq ($(CUDA),1)
	$(Q)$(NVCC) $(NVCCFLAGS) $(GENCODE) -MMD -MP -c $< -o $@
else
	$(Q)$(FOR_EMULATOR) -MMD -MP -x c++ -c $< -o $@
endif
$(BUILD)/kernels/%.cu.o: %.cu
	@mkdir -p $(@D)
	@echo "  $(CXX) $< (sanitized)"
	$(Q)$(FOR_EMULATOR) $(SANITIZE) -MMD -MP -x c++ -c $< -o $@
$(BUILD)/kernels/%.o: %.cpp
	@mkdir -p $(@D)
	$(Q)$(FOR_EMULATOR) $(SANITIZE) -MMD -MP -c $< -o $@

# --- fuzzing: what reads by clang++ for libFuzzer, what computes as it is. What is found new collects in build/fuzz/corpus ---
TARGET   ?= safetensors
SECONDS  ?= 600
FUZZ_CXX ?= clang++
FUZZ_FLAGS := $(filter-out -O% -Wshadow,$(CXXFLAGS)) $(SANITIZE) -fsanitize=fuzzer-no-link -DRMT_FUZZ
FUZZ_LIB := $(patsubst %.cpp,build/fuzz/obj/%.o,$(filter core/% data/% train/%,$(LIB_SRC))) $(call OBJ,$(filter autograd/% ops/% nn/%,$(LIB_SRC)))
build/fuzz/obj/%.o: %.cpp
	@mkdir -p $(@D)
	@echo "  $(FUZZ_CXX) $< (for libFuzzer)"
	$(Q)$(FUZZ_CXX) $(FUZZ_FLAGS) -MMD -MP -c $< -o $@
build/fuzz/librmt.a: $(FUZZ_LIB) $(CU_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^
$(FUZZERS:%=build/fuzz/%): build/fuzz/%: build/fuzz/obj/tests/fuzz/%_fuzz.o build/fuzz/librmt.a
	$(Q)$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer $(LDFLAGS) $^ -o $@
fuzz: build/fuzz/$(TARGET)
	@mkdir -p build/fuzz/corpus/$(TARGET)
	$< -max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=64 -max_len=16384 -artifact_prefix=build/fuzz/$(TARGET)- -print_final_stats=1 \
	    build/fuzz/corpus/$(TARGET) tests/fuzz/corpus/$(TARGET)

gpu:
	@sh tests/gpu.sh

ptxas:
	@NVCC="$(NVCC)" FLAGS="$(NVCCFLAGS)" sh tests/ptxas.sh $(CU_SRC)

# The one file with stb_image in it, which reads bytes from anywhere. Its Huffman decoder shifts by 32 on damaged files: undefined, without effect.
build/fuzz/obj/data/images/image.o: FUZZ_FLAGS += -fno-strict-aliasing -fno-sanitize=shift
$(BUILD)/obj/data/images/image.o: CXXFLAGS += -fno-strict-aliasing -fstack-protector-strong $(if $(filter 1,$(SAN)),-fno-sanitize=shift,-D_FORTIFY_SOURCE=2)

# Pillow rounds each product, and so must these for its bytes.
$(addprefix $(BUILD)/obj/data/images/,augment.o affine.o pixel_ops.o): CXXFLAGS += -ffp-contract=off

# With as many processes as there are processors, where nobody said -j.
BUILD_ALL = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
train: setup
	+@$(BUILD_ALL) all
	$(BUILD)/bin/rmt-train $(if $(DATA),--data-dir $(DATA)) --model $(MODEL) $(if $(EPOCHS),--epochs $(EPOCHS)) $(ARGS)

test: setup
	+@$(BUILD_ALL) found $(TESTS) $(BINS)
	@BIN=$(BUILD)/bin sh tests/run.sh $(TESTS) --gtest_filter='$(FILTER)'

check: setup
	@mkdir -p build
	@NVCC="$(NVCC)" sh tests/check.sh
	@$(MAKE) --no-print-directory test

format:
	git ls-files -co --exclude-standard '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -P $(shell nproc) -n 40 clang-format -i
	@sh tests/check.sh tables

clean:
	rm -rf build

-include $(patsubst %.o,%.d,$(call OBJ,$(LIB_SRC) $(TEST_SRC) $(BIN_SRC)) $(CU_OBJ) $(TOUR_CU:%.cu=$(BUILD)/obj/%.cu.o) $(TEST_KERNELS))
-include $(wildcard build/fuzz/obj/*/*.d build/fuzz/obj/*/*/*.d build/fuzz/obj/*/*/*/*.d)
