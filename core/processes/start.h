// How a program becomes one of several.
#pragma once
#include <memory>

#include "core/processes/processes.h"

namespace rmt {

// The processes that mpirun, srun or torchrun has started this one with; without any of these, one
// alone. To be called once, before anything else that counts: from then on a program that fails
// says so by Processes::fail(). MPI connects them where it is linked; else, and always under
// torchrun, they meet by TCP at MASTER_ADDR and MASTER_PORT. Error when there are several that
// nothing connects; LocalError (rendezvous.h) when this process alone may know why.
std::unique_ptr<Processes> start_processes();

// The same processes with tensors on GPUs carried by NCCL, where this build has it; null where it
// has not, or there is one process. `hosts` must outlive it; from then on all calls go through it.
std::unique_ptr<Processes> connect_gpus(Processes& hosts);

// Is this the first of the processes that were started, connected or not?
bool started_first();

// Which GPU is this process's: 0 for the first of the machine's processes, and so on. Where the
// launcher shows each process one GPU alone (CUDA_VISIBLE_DEVICES), that one.
int gpu_of_process();

}  // namespace rmt
