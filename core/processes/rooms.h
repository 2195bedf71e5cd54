// The two ends that a room needs: who started this process, and where rooms that not every build
// has make themselves known.
#pragma once
#include <memory>
#include <string>

#include "core/processes/processes.h"

namespace rmt {

// What the launcher has written into the environment of this process: mpirun (Open MPI, MPICH),
// srun or torchrun. One alone where nothing is there. Error for numbers that make no sense.
struct Launch {
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0;  // among the processes of this machine
  std::string by;          // "mpirun", "srun", "torchrun"
};
Launch launch_of_environment();

// "<text>\n" to stderr in one write, from any thread.
void print_line(const std::string& text);

namespace rooms {
// Set by mpi.cpp and nccl.cu where they are linked. `hosts` connects the same processes.
extern std::unique_ptr<Processes> (*mpi)(int64_t rank, int64_t size);
extern std::unique_ptr<Processes> (*nccl)(Processes& hosts);
}  // namespace rooms

}  // namespace rmt
