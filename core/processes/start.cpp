#include "core/processes/start.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/processes/rooms.h"
#include "core/processes/tcp.h"

namespace rmt {
namespace {

class Alone : public Processes {
 public:
  Alone() : Processes(0, 1) {}

 private:
  void do_start_all_reduce(const Tensor&) override {}
  void do_wait() override {}
  void do_broadcast(const Tensor&, int64_t) override {}
  void do_all_gather(const Tensor&, const Tensor&) override {}
  void do_barrier() override {}
};

// Where each launcher writes the three numbers. SLURM_STEP_NUM_TASKS is there only under srun, not
// in the script around it.
struct Names {
  const char *by, *rank, *size, *local_rank;
};
constexpr Names kLaunchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    {"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"}};

int64_t number(const char* name) {
  const std::string text = std::getenv(name);
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  CHECK(error == std::errc() && end == text.data() + text.size() && value >= 0 && value < 1 << 20,
        name, "=", text,
        " in the environment is no count of processes; unset it, or start the "
        "program by mpirun, srun or torchrun");
  return value;
}

}  // namespace

namespace rooms {
std::unique_ptr<Processes> (*mpi)(int64_t rank, int64_t size) = nullptr;
std::unique_ptr<Processes> (*nccl)(Processes& hosts) = nullptr;
}  // namespace rooms

Processes& alone() {
  static Alone processes;
  return processes;
}

Launch launch_of_environment() {
  for (const Names& n : kLaunchers) {
    if (!std::getenv(n.rank) || !std::getenv(n.size)) continue;
    Launch launch{number(n.rank), number(n.size),
                  std::getenv(n.local_rank) ? number(n.local_rank) : 0, n.by};
    CHECK(launch.rank < launch.size, n.rank, "=", launch.rank, " in the environment is not below ",
          n.size, "=", launch.size, "; start the program by mpirun, srun or torchrun");
    return launch;
  }
  return {};
}

void print_line(const std::string& text) {
  const std::string line = printable(text, true) + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

std::unique_ptr<Processes> start_processes() {
  const Launch launch = launch_of_environment();
  if (launch.size == 1) return std::make_unique<Alone>();
  // Processes of mpirun know one another through MPI. All others can be told where they meet.
  const bool told = std::getenv("MASTER_ADDR") || launch.by == "torchrun";
  if (rooms::mpi && (launch.by == "mpirun" || !told)) return rooms::mpi(launch.rank, launch.size);
  CHECK(told, launch.by, " has started ", launch.size,
        " processes of a program that was built without MPI; build it by make MPI=1 and start "
        "build/mpi/bin/..., or set MASTER_ADDR to the machine of rank 0 and MASTER_PORT to a port "
        "that is free there, or start one process alone");
  return tcp_room_of_environment(launch.rank, launch.size);
}

std::unique_ptr<Processes> connect_gpus(Processes& hosts) {
  return hosts.size() > 1 && rooms::nccl ? rooms::nccl(hosts) : nullptr;
}

bool started_first() {
  const char* rank = nullptr;
  for (const Names& n : kLaunchers)
    if (!rank) rank = std::getenv(n.rank);
  return !rank || std::strcmp(rank, "0") == 0;
}

int gpu_of_process() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible && !std::strchr(visible, ',')) return 0;
  return int(launch_of_environment().local_rank);
}

}  // namespace rmt
