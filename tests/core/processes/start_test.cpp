// What launchers write into the environment, and what is wrong there.
#include "core/processes/start.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "core/processes/rooms.h"

namespace rmt {
namespace {

// While one lives, the launchers' variables are these and no others.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& values) {
    for (const char* name :
         {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "PMI_RANK",
          "PMI_SIZE", "MPI_LOCALRANKID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID",
          "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "CUDA_VISIBLE_DEVICES", "MASTER_ADDR",
          "MASTER_PORT"}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      unsetenv(name);
      names_.push_back(name);
    }
    for (const auto& [name, value] : values) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const std::string& name : names_) unsetenv(name.c_str());
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::string> before_;
};

void expect_launch(const std::map<std::string, std::string>& values, int64_t rank, int64_t size,
                   int64_t local_rank, const char* by) {
  const Environment environment(values);
  const Launch launch = launch_of_environment();
  EXPECT_EQ(launch.rank, rank);
  EXPECT_EQ(launch.size, size);
  EXPECT_EQ(launch.local_rank, local_rank);
  EXPECT_EQ(launch.by, by);
  EXPECT_EQ(started_first(), rank == 0);
  EXPECT_EQ(gpu_of_process(), int(local_rank));
}

TEST(Launch, OfEachLauncher) {
  expect_launch({}, 0, 1, 0, "");
  expect_launch({{"OMPI_COMM_WORLD_RANK", "5"},
                 {"OMPI_COMM_WORLD_SIZE", "8"},
                 {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}},
                5, 8, 1, "mpirun");
  expect_launch({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}, 0, 2, 0, "mpirun");
  expect_launch({{"RANK", "3"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "3"}}, 3, 4, 3, "torchrun");
  expect_launch({{"SLURM_PROCID", "9"}, {"SLURM_STEP_NUM_TASKS", "16"}, {"SLURM_LOCALID", "1"}}, 9,
                16, 1, "srun");
  // In the script of a job srun has started nothing yet.
  expect_launch({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "16"}}, 0, 1, 0, "");
}

TEST(Launch, AProcessThatSeesOneGpuTakesIt) {
  const Environment environment({{"OMPI_COMM_WORLD_RANK", "3"},
                                 {"OMPI_COMM_WORLD_SIZE", "4"},
                                 {"OMPI_COMM_WORLD_LOCAL_RANK", "3"},
                                 {"CUDA_VISIBLE_DEVICES", "3"}});
  EXPECT_EQ(gpu_of_process(), 0);
}

TEST(Launch, NumbersThatMakeNoSenseAreAnError) {
  for (const auto& [rank, size] : {std::pair{"2", "2"},
                                   {"-1", "2"},
                                   {"1", "x"},
                                   {"", "2"},
                                   {"0", "0"},
                                   {"1 ", "2"},
                                   {"0", "99999999999999999999"}}) {
    const Environment environment({{"OMPI_COMM_WORLD_RANK", rank}, {"OMPI_COMM_WORLD_SIZE", size}});
    EXPECT_THROW(launch_of_environment(), Error) << rank << " of " << size;
  }
}

void expect_no_room(const std::map<std::string, std::string>& values, const char* says) {
  const Environment environment(values);
  try {
    start_processes();
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
  }
}

TEST(Launch, SeveralNeedARoom) {
  expect_no_room({{"RANK", "0"}, {"WORLD_SIZE", "2"}}, "MASTER_ADDR is not there");
  if (rooms::mpi) GTEST_SKIP() << "linked with MPI";
  expect_no_room({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}}, "make MPI=1");
  expect_no_room({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}}, "MASTER_ADDR");
}

}  // namespace
}  // namespace rmt
