# rmt: build, train, test. `make help` lists the targets; a build's first line says what was found.
#   ARCH=native      instruction set to build for (x86-64-v3 = AVX2, runs on any x86 of the last ten
#                    years; x86-64-v4 = AVX-512)
#   CUDA=1           kernels for a GPU by nvcc (needs the CUDA toolkit and no GPU; own objects under
#                    build/cuda). Without it the GPU is emulated.
#   CUDA_ARCHS="90"  compute capabilities to build for; default: all of 80 86 89 90 100 120 that
#                    nvcc knows, and PTX of the newest
#   MPI=1            programs that mpirun or srun starts as several processes (needs mpicxx; the same
#                    objects, linked under build/mpi)
#   NCCL=1           with CUDA=1: NCCL carries what the GPUs exchange (NCCL_HOME=<folder with
#                    include/ and lib/> where the compiler does not find it)
#   DEBUG=1          nothing optimised, so that a debugger stops at every line and finds every
#                    variable (own objects under build/debug)
#   SAN=1            address and undefined-behaviour sanitizers in everything (own objects under
#                    build/san); the kernels in `make test` always have them
#   SAN=thread       the thread sanitizer in everything (own objects under build/thread)
#   MODELS=<file>.cpp  files that register models of yours (nn/models/registry.h), compiled and
#                    linked into every program; they may lie anywhere
#   V=1              print the commands

CXX      ?= g++
ARCH     ?= native
CUDA     ?= 0
MPI      ?= 0
NCCL     ?= 0
NCCL_HOME ?=
DEBUG    ?= 0
SAN      ?= 0
V        ?= 0
MODEL    ?= rmt_n
MODELS   ?=
PREFIX   ?= /usr/local
DATA     ?=
EPOCHS   ?=
ARGS     ?=
FILTER   ?= *
NAME     ?=

ON       := $(foreach v,CUDA SAN DEBUG,$(if $(filter 1 thread,$($v)),$v))
VARIANT  := $(patsubst CUDA,cuda,$(patsubst DEBUG,debug,$(patsubst SAN,\
              $(if $(filter thread,$(SAN)),thread,san),$(ON))))
empty    :=
space    := $(empty) $(empty)
BUILD    := $(subst $(space),/,$(strip build $(VARIANT) $(filter-out native,$(ARCH))))
Q        := $(if $(filter 1,$(V)),,@)
# As many processes as there are processors; a -j of yours wins.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

# --- how to compile: each kind of source has its flags ---
# aarch64 compilers spell the same wish -mcpu.
MARCH    := $(if $(filter aarch64,$(shell uname -m)),-mcpu,-march)=$(ARCH)
SANITIZE := -fno-omit-frame-pointer $(if $(filter thread,$(SAN)),-fsanitize=thread,\
              -fsanitize=address,undefined -fno-sanitize-recover=undefined)
SAN_LEVEL := $(if $(filter thread,$(SAN)),-O2,-O1)
# Tests fork processes that then start threads.
SAN_ENV   := $(if $(filter thread,$(SAN)),TSAN_OPTIONS=die_after_fork=0)
WARN     := -Wall -Wextra -Wshadow -Wno-psabi -Wno-missing-field-initializers
OPTIONS  := -fno-math-errno -fno-trapping-math -ffp-contract=fast $(WARN) -I. -pthread \
            $(if $(filter CUDA,$(ON)),-DRMT_CUDA)
HOST_SAN   := $(if $(filter SAN,$(ON)),$(SANITIZE))
# The threads of an emulated kernel take turns in one thread of the host: no race can be seen there.
KERNEL_SAN := $(if $(filter thread,$(SAN)),,$(HOST_SAN))
# Flags where $(1) optimises, unless all is to be debugged, or sanitized by $(2).
level     = $(if $(filter DEBUG,$(ON)),-g -O0,$(if $(2),-g1 $(SAN_LEVEL) $(2),-g1 $(1)))
flags     = $(strip $(CPPFLAGS) $(CXXFLAGS) -std=c++20 $(call level,$(1),$(2)) $(MARCH) $(OPTIONS))
KERNEL_FLAGS := -fcf-protection=none -Wno-unknown-pragmas
# A debugger stops in a kernel at every line and finds every variable; the tests' copies need not.
STEPPED  := -g -gno-statement-frontiers
FLAGS_library   := $(call flags,-O3,$(HOST_SAN))
FLAGS_program   := $(call flags,-O1,$(HOST_SAN))
FLAGS_test      := $(FLAGS_program)
FLAGS_kernel    := $(call flags,-Og,$(KERNEL_SAN)) $(KERNEL_FLAGS) $(STEPPED)
FLAGS_sanitized := $(call flags,-Og) $(KERNEL_FLAGS) $(SANITIZE)
# The fastest linker that is there: mold, lld, gold, or the system's.
LINKERS  := mold lld gold
LINKER   := $(firstword $(foreach l,$(LINKERS),$(if $(shell command -v ld.$l 2>/dev/null),$l)))
LDFLAGS  += -pthread $(LINKER:%=-fuse-ld=%)
# What is built for other machines brings the library of C++ along: theirs may be older.
LDFLAGS  += $(if $(filter-out native,$(ARCH)),$(if $(filter SAN,$(ON)),,-static-libstdc++ -static-libgcc))
NVCC     ?= $(shell command -v nvcc 2>/dev/null || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
MACROS   := $(shell echo | $(CXX) $(MARCH) -dM -E -x c++ - 2>/dev/null | cut -d ' ' -f 2)
HAS       = $(filter $(1),$(MACROS))
ISA      := $(if $(call HAS,__AVX512F__),AVX-512,$(if $(call HAS,__AVX2__),AVX2,$\
              $(if $(call HAS,__ARM_NEON),NEON,generic)))

# --- what there is ---
LIB_DIRS := core core/cuda/model core/files core/processes \
            autograd ops ops/attention ops/kernels ops/retention nn nn/rmt nn/models nn/pyramid nn/segmentation nn/detection \
            data data/images data/labels data/masks data/segmentation data/detection data/sets \
            train train/weights train/run train/segmentation train/detection
# Rooms that need a library of their own (core/processes) and are linked where that is asked for.
ROOM_SRC := $(if $(filter 1,$(MPI)),core/processes/mpi.cpp) \
            $(if $(filter 1,$(NCCL)),core/processes/nccl.cu)
ROOMS    := $(subst $(space),-,$(notdir $(basename $(strip $(ROOM_SRC)))))
LIB_SRC  := $(filter-out core/processes/mpi.cpp,$(wildcard $(LIB_DIRS:%=%/*.cpp)))
CU_SRC   := $(wildcard core/cuda/*.cu ops/*.cu ops/*/*.cu train/*.cu)
EMULATOR := $(wildcard core/cuda/emulator/*.cpp)
TEST_SRC := $(wildcard tests/*.cpp tests/*/*.cpp tests/*/*/*.cpp tests/*/*/*/*.cpp)
TEST_CU  := $(wildcard tests/*/*.cu tests/*/*/*.cu tests/*/*/*/*.cu)
PROGRAMS := $(wildcard examples/*.cpp)
TOURS    := $(wildcard examples/tours/*.cpp examples/tours/*.cu)
FUZZERS  := $(patsubst tests/fuzz/%_fuzz.cpp,%,$(wildcard tests/fuzz/*_fuzz.cpp))

OBJ       = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(1:%.cu=$(BUILD)/obj/%.cu.o))
# What the tests sanitize in any case; where all is sanitized, the same objects.
KERNELS  := $(BUILD)/$(if $(filter SAN,$(ON)),obj,kernels)
SANITIZED = $(patsubst %.cpp,$(KERNELS)/%.o,$(1:%.cu=$(KERNELS)/%.cu.o))
LIB      := $(BUILD)/lib/librmt.a
LINKED   := $(BUILD)$(ROOMS:%=/%)
BIN      := $(LINKED)/bin
BINS     := $(addprefix $(BIN)/,$(notdir $(basename $(PROGRAMS) $(TOURS))))
# Objects of MODELS, beside the programs, each called by its path with '_' for '/'.
OWN_DIR  := $(patsubst %/bin,%,$(BIN))/models
OWN_OBJ   = $(foreach m,$(1),$(OWN_DIR)/$(subst /,_,$(m:.cpp=.o)))
TESTS    := $(LINKED)/tests/rmt-tests
CU_OBJ   := $(call OBJ,$(CU_SRC))
ifeq ($(MPI),1)
MPI_SHOWS := $(shell mpicxx -show 2>/dev/null)
ifeq ($(MPI_SHOWS),)
$(error MPI=1 needs MPI and there is no mpicxx on PATH; install Open MPI (Debian: libopenmpi-dev \
        openmpi-bin) or MPICH, or build without MPI=1)
endif
MPI_FLAGS := $(filter -I% -D% -pthread,$(MPI_SHOWS))
LDLIBS    += $(filter-out %cxx %cxx.so,$(filter -L% -l% -Wl%,$(MPI_SHOWS)))
endif
ifeq ($(NCCL),1)
ifneq ($(CUDA),1)
$(error NCCL=1 connects the GPUs of several processes: give CUDA=1 with it)
endif
NCCL_FLAGS := $(NCCL_HOME:%=-I%/include)
# Python's package of NCCL has no libnccl.so without a number.
LDLIBS     += $(NCCL_HOME:%=-L%/lib -Wl,-rpath,%/lib) \
              $(if $(wildcard $(NCCL_HOME:%=%/lib/libnccl.so.2)),-l:libnccl.so.2,-lnccl)
endif
# The GPU: kernels by nvcc, or by the host's compiler for the emulated device; tests sanitize these.
ifneq ($(filter CUDA,$(ON)),)
ifeq ($(NVCC),)
$(error CUDA=1 needs nvcc, and there is none on PATH or in /usr/local/cuda; install the CUDA \
        toolkit, or build without CUDA=1)
endif
CUDA_HOME  ?= $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
NVCC_KNOWS := $(patsubst compute_%,%,$(shell $(NVCC) --list-gpu-arch))
CUDA_ARCHS ?= $(filter $(NVCC_KNOWS),80 86 89 90 100 120)
NEWEST     := $(lastword $(CUDA_ARCHS))
GENCODE    := $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$a,code=sm_$a) \
              -gencode arch=compute_$(NEWEST),code=compute_$(NEWEST)
# CUDA's libraries lie in a toolkit's lib64, or in Python's packages of them (CUDA_LIB=<folder>), where
# libcublasLt.so has a number and no link without one.
CUDA_LIB   ?= $(CUDA_HOME)/lib64
CUBLASLT   := $(firstword $(notdir $(wildcard $(CUDA_LIB)/libcublasLt.so $(CUDA_LIB)/libcublasLt.so.*)) \
                libcublasLt.so)
LDLIBS     += -L$(CUDA_LIB) -L$(CUDA_HOME)/lib64 -l:$(CUBLASLT) -lcudart_static -ldl -lrt \
              -Wl,-rpath,$(CUDA_LIB)
TEST_KERNELS := $(CU_OBJ) $(call OBJ,$(TEST_CU))
$(call OBJ,$(TEST_CU)): private OWN := -DRMT_CUDA
GPU        := by $(shell $(NVCC) --version | sed -n 's/.*\(release [0-9.]*\).*/nvcc \1/p') \
              for $(CUDA_ARCHS)
else
CU_OBJ     += $(call OBJ,$(EMULATOR))
TEST_KERNELS := $(call SANITIZED,$(CU_SRC) $(TEST_CU) $(EMULATOR))
TEST_LINK  := $(SANITIZE)
GPU        := emulated$(if $(NVCC), (make CUDA=1 for a real one))
endif
NVCCFLAGS := -std=c++20 -O3 -lineinfo --expt-relaxed-constexpr \
             -Xcompiler -Wall,-Wextra,-Wno-psabi -ccbin $(CXX) -I. $(CPPFLAGS)

.PHONY: all help setup found train demo-seg demo-det ablations test built install op check fuzz ptxas gpu format clean always
.DELETE_ON_ERROR:
.SECONDARY:

all: found $(LIB) $(BINS)
	@:

help:
	@echo "make            the library build/lib/librmt.a and the programs build/bin/*"
	@echo "make MODELS=my_model.cpp   the same, and the programs know the model that this registers"
	@echo "make install    library, headers and programs under PREFIX (/usr/local), and rmt.pc"
	@echo "make train      install what is missing, build, and train (DATA=folder MODEL=rmt_t"
	@echo "                EPOCHS=n ARGS='...'; without DATA on images that it draws)"
	@echo "make demo-seg   train a small model of segmentation on scenes that it draws, and paint what it"
	@echo "                sees (demo-det: boxes and masks)"
	@echo "make ablations  train the paper's variants of rmt_n on DATA, several seeds each (EPOCHS=n"
	@echo "                ARGS='--seeds 3'), and write a table and a picture; goes on when repeated"
	@echo "make op         NAME=softmax: compile that op, its kernels and its proof, and run the proof"
	@echo "make test       install what is missing, build, run every test (FILTER='Gelu*', SAN=1,"
	@echo "                SAN=thread)"
	@echo "make processes  runs of several processes by mpirun, part of make test where there is one"
	@echo "make check      form, layers, proofs, prose, every kernel through nvcc, then the tests"
	@echo "make fuzz       libFuzzer against a reader (needs clang++; SECONDS=600, TARGET=name of"
	@echo "                $(FUZZERS))"
	@echo "make gpu        all that needs a real GPU: tests, sanitizers, models measured (tests/gpu)"
	@echo "make gpu-bundle the same in one file, for a machine with a GPU and no network (OFFICIAL=DIR"
	@echo "                RIVAL=FILE PHOTOS=DIR; EMULATED=1 for a rehearsal without a GPU)"
	@echo "make gpu-model  how long a training step would take on an H200, kernel by kernel, counted in"
	@echo "                the kernels' machine code (STEPS='rmt_t:256'; needs nvcc and nvdisasm, no GPU)"
	@echo "make ptxas      the kernels' registers, shared memory and spills (needs nvcc, no GPU)"
	@echo "make format     rewrite the sources in the project's style"
	@echo "make clean      remove build/"

found:
	@echo "rmt: $$($(CXX) --version | head -n 1), $(ISA) ($(ARCH)), GPU $(GPU)$(ROOMS:%=, %)"

# --- what the system must have: nothing is asked for when all is there ---
setup:
	@MPI=$(MPI) sh tests/setup.sh "$(CXX)"

# --- objects. OWN: what one file alone needs; the last section says for which and why ---
define compile
@mkdir -p $(@D)
@echo "  $(CXX) $<$(if $(filter sanitized,$(1)), (sanitized))"
$(Q)$(CXX) $(FLAGS_$(1)) $(OWN) -MMD -MP $(if $(filter %.cu,$<),-x c++) -c $< -o $@
endef
$(BUILD)/obj/%.o: %.cpp
	$(call compile,library)
$(BUILD)/obj/examples/%.o: examples/%.cpp
	$(call compile,program)
$(BUILD)/obj/examples/tours/%.o: examples/tours/%.cpp
	$(call compile,library)
$(BUILD)/obj/tests/%.o: tests/%.cpp
	$(call compile,test)
ifneq ($(filter CUDA,$(ON)),)
$(BUILD)/obj/%.cu.o: %.cu
	@mkdir -p $(@D)
	@echo "  $(NVCC) $<"
	$(Q)$(NVCC) $(NVCCFLAGS) $(OWN) $(GENCODE) -MMD -MP -c $< -o $@
else
$(BUILD)/obj/%.cu.o: %.cu
	$(call compile,kernel)
endif
$(BUILD)/kernels/%.cu.o: %.cu
	$(call compile,sanitized)
$(BUILD)/kernels/%.o: %.cpp
	$(call compile,sanitized)

# --- the library, the programs, the tests ---
# Programs and tests are compiled quickly. What they share with the library, inline functions say,
# is taken from where the linker meets it first: the library stands first, and whole.
$(LIB): $(call OBJ,$(LIB_SRC)) $(CU_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^

WHOLE := -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive
ROOM_OBJ := $(call OBJ,$(ROOM_SRC))
link   = $(Q)$(CXX) $(FLAGS_library) $(1) $(LDFLAGS) $(2) $(LDLIBS) -o $@
$(BIN)/%: $(BUILD)/obj/examples/%.o $(LIB) $(ROOM_OBJ) $(call OWN_OBJ,$(MODELS)) $(OWN_DIR)/list
	@mkdir -p $(@D)
	$(call link,,$(WHOLE) $(filter %.o,$^))
$(BIN)/%: $(BUILD)/obj/examples/tours/%.o $(LIB)
	@mkdir -p $(@D)
	$(call link,,$^)
$(BIN)/%: $(BUILD)/obj/examples/tours/%.cu.o $(LIB)
	@mkdir -p $(@D)
	$(call link,,$^)
$(TESTS): $(call OBJ,$(LIB_SRC)) $(ROOM_OBJ) $(TEST_KERNELS) $(call OBJ,$(TEST_SRC))
	@mkdir -p $(@D)
	$(call link,$(TEST_LINK),$^ -lgtest -lgtest_main)

# Which MODELS the programs were linked with; written anew only when they are others.
$(OWN_DIR)/list: always
	@mkdir -p $(@D)
	@echo '$(MODELS)' | cmp -s - $@ || echo '$(MODELS)' >$@
define own_model
$(call OWN_OBJ,$(1)): $(1)
	$$(call compile,library)
endef
$(foreach m,$(MODELS),$(eval $(call own_model,$m)))

BUILD_ALL = $(MAKE) --no-print-directory
train: setup
	+@$(BUILD_ALL) all
	$(BIN)/rmt-train $(if $(DATA),--data-dir $(DATA)) --model $(MODEL) \
	    $(if $(EPOCHS),--epochs $(EPOCHS)) $(ARGS)

# Small models of segmentation and detection on scenes that are drawn, and a picture of what they
# see. The same command goes on where it was stopped.
SCENES_seg := build/scenes
SCENES_det := build/small-scenes
demo-seg demo-det: demo-%: setup
	+@$(BUILD_ALL) found $(BIN)/rmt-$*
	$(BIN)/rmt-$* train --experiment demo-$* --resume auto $(if $(EPOCHS),--epochs $(EPOCHS)) $(ARGS)
	$(BIN)/rmt-$* predict output/demo-$* $$(ls $(SCENES_$*)/images/validation/*.jpg | head -n 12) \
	    --out output/demo-$*/predictions --grid output/demo-$*/predictions.png --force

# The same command goes on where it was stopped.
ablations: setup
	+@$(BUILD_ALL) found $(BIN)/rmt-ablations
	$(BIN)/rmt-ablations $(if $(DATA),--data-dir $(DATA)) $(if $(EPOCHS),--epochs $(EPOCHS)) $(ARGS)

test: setup
	+@$(BUILD_ALL) built
	@BIN=$(BIN) $(SAN_ENV) sh tests/run.sh $(TESTS) --gtest_filter='$(FILTER)'
	@if [ '$(FILTER)' = '*' ] && [ -z '$(strip $(ON)$(ROOMS))' ]; then \
	    $(MAKE) --no-print-directory processes; fi
built: found $(TESTS) $(BINS)
	@:

# Runs of several processes, where there is an MPI: the same objects, linked with it.
HAS_MPI := $(and $(shell command -v mpicxx),$(shell command -v mpirun))
processes:
	+@$(if $(HAS_MPI),$(BUILD_ALL) MPI=1 processes-built && sh tests/processes.sh,echo \
	    "there is no MPI (mpicxx, mpirun): runs of several processes were not tested")
.PHONY: processes processes-built
processes-built: $(TESTS) $(BIN)/rmt-train $(BIN)/rmt-seg $(BIN)/rmt-det $(BIN)/tour_loader
	@:

check: setup
	@mkdir -p build
	@NVCC="$(NVCC)" sh tests/check.sh
	@sh tests/gpu/faults.sh
	@$(MAKE) --no-print-directory test

# --- under PREFIX, for programs of one's own: c++ <file>.cpp $(pkg-config --cflags --libs rmt) ---
# Inline functions of the headers stand in the library too: they must be compiled for one machine.
INTO    := $(DESTDIR)$(abspath $(PREFIX))
PC_CC   := $(strip -std=c++20 $(MARCH) -pthread $(HOST_SAN))
PC_LIBS := $(strip -lrmt $(HOST_SAN) -pthread $(LDLIBS))
INSTALLED := $(filter $(BIN)/rmt-%,$(BINS))
install: found $(LIB) $(INSTALLED)
	@find core autograd ops nn data train -name '*.h' -o -name '*.cuh' -o -name '*.def' | \
	    while read -r f; do install -D -m 644 $$f $(INTO)/include/rmt/$$f || exit; done
	@install -D -m 644 $(LIB) $(INTO)/lib/librmt.a
	@install -d $(INTO)/bin $(INTO)/lib/pkgconfig
	@install $(INSTALLED) $(INTO)/bin
	@printf '%s\n' 'prefix=$(abspath $(PREFIX))' 'Name: rmt' 'Version: 1.0' \
	    'Description: tensors, gradients, vision backbones and their training' \
	    'Cflags: -I$${prefix}/include/rmt $(PC_CC)' \
	    'Libs: -L$${prefix}/lib $(PC_LIBS)' >$(INTO)/lib/pkgconfig/rmt.pc
	@echo "installed under $(INTO)"

# --- one op: its own four files, with the library as it stands (built where there is none) ---
OP        := $(wildcard ops/$(NAME).cpp ops/*/$(NAME).cpp)
OP_CU     := $(wildcard $(OP:.cpp=.cu))
OP_PROOF  := $(OP:%.cpp=tests/%_test.cpp)
OP_LIB    := $(if $(wildcard $(LIB)),,$(LIB))
OP_KERNEL := $(if $(filter CUDA,$(ON)),$(call OBJ,$(OP_CU)),\
               $(call SANITIZED,$(OP_CU) $(EMULATOR)))
OP_NAMES   = $(sort $(notdir $(basename $(shell grep -l "record[^a-z ]" ops/*.cpp ops/*/*.cpp))))
CHECK_OP  := $(wildcard tests/check_op*.cpp)
op:
ifeq ($(NAME),)
	@echo "make op NAME=softmax: which op? There are: $(OP_NAMES)" >&2; exit 2
else ifeq ($(OP),)
	@echo "make op: there is no ops/$(NAME).cpp; there are: $(OP_NAMES)" >&2; exit 2
else ifeq ($(wildcard $(OP_PROOF)),)
	@echo "make op: $(OP) has no proof: write $(OP_PROOF), one call of check_op" >&2; exit 2
else
	+@$(BUILD_ALL) op-built
	$(if $(OP_CU),,@echo "make op: there is no $(OP:.cpp=.cu): the op is proved on the CPU alone, with .on_gpu = false")
	@sh tests/run.sh $(BUILD)/op/$(NAME) --gtest_filter='$(FILTER)'
.PHONY: op-built
op-built: $(BUILD)/op/$(NAME)
	@:
$(BUILD)/op/$(NAME): $(call OBJ,$(OP) $(OP_PROOF) $(CHECK_OP)) $(OP_KERNEL) | $(OP_LIB)
	@mkdir -p $(@D)
	$(call link,$(TEST_LINK),$^ $(LIB) -lgtest -lgtest_main)
endif

# --- fuzzing: what reads by clang++ for libFuzzer, what computes as it is. An input may take 2 s, and
# all of them 512 MB. What is found new collects in build/fuzz/corpus ---
TARGET   ?= safetensors
SECONDS  ?= 600
FUZZ_CXX ?= clang++
FUZZ_FLAGS := $(filter-out -O% -Wshadow,$(FLAGS_library)) -O1 $(SANITIZE) -fsanitize=fuzzer-no-link \
              -DRMT_FUZZ
FUZZ_LIB := $(patsubst %.cpp,build/fuzz/obj/%.o,$(filter core/% data/% train/%,$(LIB_SRC))) \
            $(call OBJ,$(filter autograd/% ops/% nn/%,$(LIB_SRC)))
build/fuzz/obj/%.o: %.cpp
	@mkdir -p $(@D)
	@echo "  $(FUZZ_CXX) $< (for libFuzzer)"
	$(Q)$(FUZZ_CXX) $(FUZZ_FLAGS) $(FUZZ_OWN) -MMD -MP -c $< -o $@
build/fuzz/librmt.a: $(FUZZ_LIB) $(CU_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^
$(FUZZERS:%=build/fuzz/%): build/fuzz/%: build/fuzz/obj/tests/fuzz/%_fuzz.o build/fuzz/librmt.a
	$(Q)$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer $(LDFLAGS) $^ -o $@
fuzz: build/fuzz/$(TARGET)
	@mkdir -p build/fuzz/corpus/$(TARGET)
	ASAN_OPTIONS=quarantine_size_mb=16 $< -max_total_time=$(SECONDS) -timeout=2 \
	    -rss_limit_mb=512 -malloc_limit_mb=64 -len_control=100 \
	    -max_len=16384 -artifact_prefix=build/fuzz/$(TARGET)- -print_final_stats=1 \
	    build/fuzz/corpus/$(TARGET) tests/fuzz/corpus/$(TARGET)

# --- a real GPU's part (tests/gpu/README.md): here, or in one file for a machine elsewhere ---
EMULATED ?= 0
HERE      = $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | \
              head -n 1 | tr -d .)
gpu-programs: found $(TESTS) $(addprefix $(BIN)/,rmt-train rmt-bench rmt-eval bench-kernels \
                bench-loader)
	@:
where-programs:
	@echo $(BIN)
where-tests:
	@echo $(TESTS)
.PHONY: gpu-bundle gpu-programs where-programs where-tests
ifneq ($(filter CUDA,$(ON))$(filter 1,$(EMULATED)),)
gpu gpu-bundle: gpu-programs
gpu:
	@EMULATED=$(EMULATED) BIN=$(BIN) TESTS=$(TESTS) sh tests/gpu/run.sh
gpu-bundle:
	@EMULATED=$(EMULATED) CXX=$(CXX) sh tests/gpu/bundle.sh $(BIN) $(TESTS) "$(GPU), $(ARCH)"
else
gpu:
	+@$(BUILD_ALL) CUDA=1 $(HERE:%=CUDA_ARCHS=%) gpu
gpu-bundle:
	+@$(BUILD_ALL) CUDA=1 $(if $(filter native,$(ARCH)),ARCH=x86-64-v3) \
	    CUDA_ARCHS="$(or $(CUDA_ARCHS),80 90 100)" gpu-bundle
endif

# --- how long would a step take on an H200? The kernels' machine code is taken apart by nvdisasm, and
# examples/gpu-model.cpp counts in it what a step would execute. Without nvcc: launches and bytes ---
NVDISASM ?= $(firstword $(shell command -v nvdisasm) $(wildcard $(dir $(NVCC))nvdisasm))
SASS     := $(CU_SRC:%.cu=build/sm_90/%.sass)
STEPS    ?= rmt_t:128 rmt_t:256 rmt_s:128 rmt_s:256
build/sm_90/%.sass: %.cu
	@mkdir -p $(@D)
	@echo "  $(NVCC) $< (for sm_90)"
	$(Q)$(NVCC) $(NVCCFLAGS) -arch=sm_90 -MMD -MP -MF $(@:.sass=.d) -MT $@ -cubin $< -o $(@:.sass=.cubin)
	$(Q)$(NVDISASM) -c $(@:.sass=.cubin) >$@
COUNTED  := $(if $(and $(NVCC),$(NVDISASM)),--code build/sm_90)
gpu-model: $(BIN)/gpu-model $(if $(COUNTED),$(SASS))
	$(if $(COUNTED),,@echo "launches and bytes alone: instructions are counted in what nvcc and" \
	    "nvdisasm make (NVCC=<file>, NVDISASM=<file> where they are not on PATH)")
	@for step in $(STEPS); do \
	    $< --model $${step%:*} --batch $${step#*:} $(COUNTED) $(ARGS) && echo || exit; done
.PHONY: gpu-model

ptxas:
	@NVCC="$(NVCC)" FLAGS="$(NVCCFLAGS) -DRMT_CUDA -Werror all-warnings" sh tests/ptxas.sh \
	    $(CU_SRC) $(TEST_CU)

format:
	git ls-files -co --exclude-standard '*.h' '*.cpp' '*.cu' '*.cuh' | \
	    xargs -P $(shell nproc) -n 40 clang-format -i
	@sh tests/check.sh tables

clean:
	rm -rf build

# --- what one file alone needs ---
# The one file with stb_image in it, which reads bytes from anywhere. Its Huffman decoder shifts by
# 32 on damaged files, and it copies no bytes to a null pointer when a PNG's first IDAT is empty:
# undefined, without effect as long as no compiler concludes that the pointer is none.
STB      := -fno-strict-aliasing -fno-delete-null-pointer-checks
STB_SAN  := -fno-sanitize=shift,nonnull-attribute
build/fuzz/obj/data/images/image.o: private FUZZ_OWN := $(STB) $(STB_SAN)
$(BUILD)/obj/data/images/image.o: private OWN := $(STB) -fstack-protector-strong \
    $(if $(filter SAN,$(ON)),$(STB_SAN),$(if $(filter DEBUG,$(ON)),,-D_FORTIFY_SOURCE=2))
$(BUILD)/obj/core/processes/mpi.o: private OWN := $(MPI_FLAGS)
$(BUILD)/obj/core/processes/nccl.cu.o: private OWN := $(NCCL_FLAGS)
# Pillow and OpenCV round each product, and so must these for their bytes.
PILLOW := $(addprefix $(BUILD)/obj/data/,images/augment.o images/affine.o images/pixel_ops.o \
            labels/label_map.o segmentation/photometric.o)
$(PILLOW): private OWN := -ffp-contract=off
# So does COCO's reference, and these for its masks and numbers.
COCO := $(addprefix $(BUILD)/obj/,data/masks/polygons.o train/detection/coco_eval.o)
$(COCO): private OWN := -ffp-contract=off
# These read and write text and headers and compute nothing: -O1 spares a sixth of the build.
TEXT := $(wildcard train/weights/*.cpp train/run/*.cpp) $(addprefix train/,options.cpp \
        recipe.cpp checkpoint.cpp mistakes.cpp saving.cpp)
$(call OBJ,$(TEXT)): private OWN := $(if $(VARIANT),,-O1)

SOURCES := $(LIB_SRC) $(ROOM_SRC) $(TEST_SRC) $(PROGRAMS) $(TOURS)
-include $(patsubst %.o,%.d,$(call OBJ,$(SOURCES)) $(CU_OBJ) $(TEST_KERNELS) \
    $(call OWN_OBJ,$(MODELS)))
-include $(SASS:.sass=.d)
-include $(wildcard build/fuzz/obj/*/*.d build/fuzz/obj/*/*/*.d build/fuzz/obj/*/*/*/*.d)
