// A program that mpirun, srun or torchrun starts several times, as one: the first process prints,
// and an error in any of them ends all, said once.
#pragma once
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include "core/processes/rendezvous.h"
#include "core/processes/start.h"
#include "examples/program.h"
#include "train/agreement.h"

namespace rmt {

// Takes all that is written to it.
struct Nothing : std::streambuf {
  int overflow(int c) override { return c == EOF ? 0 : c; }
  std::streamsize xsputn(const char*, std::streamsize n) override { return n; }
};

// Calls body(processes) and returns the exit status. In all processes but the first, nothing that
// body writes to std::cout and std::cerr is seen.
inline int run_as_one(const std::string& program, const std::function<int(Processes&)>& body) {
  begin_process();
  std::unique_ptr<Processes> processes;
  try {
    processes = start_processes();
    static Nothing nothing;
    if (!processes->is_first())
      for (std::ostream* stream : {&std::cout, &std::cerr}) stream->rdbuf(&nothing);
    train::check_agreement(*processes, {{"program", train::hash_of_program()}});
    return body(*processes);
  } catch (const std::exception& e) {
    const std::string message = program + ": " + e.what();
    std::cout.flush();
    if (processes && processes->size() > 1) processes->fail(message);
    // Nothing connects them: the others leave it to the first, and it the time to say it, unless it
    // cannot know.
    if (!processes && !started_first() && !dynamic_cast<const LocalError*>(&e))
      std::this_thread::sleep_for(std::chrono::seconds(1));
    else
      std::cerr << message << std::endl;
    return 1;
  }
}

}  // namespace rmt
