// The emulated CUDA device: what kernels and host code see of it when a .cu file is compiled as
// C++. README.md tells how it works, and in which order to read these files.
//
// Every CUDA thread is a fiber on the one OS thread that launches, so a kernel can be stepped
// through in a debugger, and runs under ASan and UBSan. Threads are switched only where they block:
// in a barrier or a warp collective. A block runs to its end before the next one starts. Hence two
// limits: a thread that spins until another one writes never ends, and a race shows only as a
// difference between orders of the threads (Settings::order), which tests compare bit by bit.
//
// Whatever the emulator finds wrong in a kernel is thrown as rmt::Error by the launch, or with
// Settings::lazy by the synchronisation that runs it; the message names kernel, block and thread.
// The device is usable afterwards.
//
// Deliberately absent, so that what passes here is what we write: <<<>>>, __constant__, device
// globals, atomics on floats (results are bit-reproducible), textures, dynamic parallelism, wmma.
#pragma once
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdio>

#include "core/cuda/emulator/arithmetic.h"
#include "core/cuda/emulator/language.h"
#include "core/cuda/emulator/machine.h"
#include "core/cuda/emulator/runtime_api.h"
#include "core/cuda/emulator/warp.h"
