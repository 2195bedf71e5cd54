// The optimizer: what happens between the gradients and the moved weights, of a whole model.
//
//   gradients, loss -> judge (guard.h) -> does the step count?
//     yes: AdamW (adamw.h) or SGD (sgd.h) moves p, e follows p (average.h), statistics are kept
//     no:  nothing moves, the statistics are taken back
//
// On the CPU that is step_on_cpu(), as it stands here. On a GPU the same formulas run over one
// table of all parameters (optimizer_table.h), five kernels or fewer however many parameters there
// are, and no number is waited for: which way it went is read from Verdict some time later.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "train/adamw.h"
#include "train/average.h"
#include "train/groups.h"
#include "train/guard.h"
#include "train/sgd.h"

namespace rmt::train {

struct OptimizerOptions {
  AdamWOptions adamw;
  std::optional<SgdOptions> sgd = {};  // where given, SGD moves the parameters and AdamW does not
  GuardOptions guard;
  double average_decay = 0;  // d of average.h; 0: no averages
};

class OptimizerTable;  // of all parameters and statistics, in the memory of a GPU

class Optimizer {
 public:
  // The parameters, all of one dtype (f32 on a GPU) and on one device, must stay where they are.
  // `rules`, one a parameter, replace the groups that decays() makes; a frozen parameter is left
  // out. `statistics`: entries of the same model's state; those that are no floating-point buffers
  // are passed over.
  Optimizer(const std::vector<nn::Entry>& parameters, const OptimizerOptions& options,
            const std::vector<ParameterRule>& rules = {},
            const std::vector<nn::Entry>& statistics = {});
  ~Optimizer();

  // Moves every parameter that has a gradient, in place. Gradients stay as they are. `loss`: a
  // scalar, f32, on the device of the parameters, the sum over the parts; undefined counts as 0.
  void step(double lr, const Tensor& loss = {});
  Verdict verdict() const;  // of the last step; waits for a GPU

  const OptimizerOptions& options() const { return options_; }
  std::vector<OptimizerSlot>& slots();           // with their counts up to date, which a GPU keeps
  void set_counts();                             // after someone has written into the slots' t
  WeightAverage& average() { return average_; }  // of the slots, then of the statistics
  // The model and its averages change places (average.h, swap); on a GPU in two launches.
  void swap_average();
  Statistics& statistics() { return statistics_; }
  // After someone has written into parameters or statistics: the averages, and what is kept of the
  // statistics, begin again from these.
  void begin_again();

  // step() in its parts, for a GPU. A recorded graph holds launch() alone; find_gradients()
  // belongs into the recording, send_arrays() behind it. Before each repetition the rate is written
  // to rate_on_gpu(), () f64.
  void find_gradients();
  void send_arrays();
  const Tensor& rate_on_gpu() const;
  void launch(const Tensor& loss);
  const void* verdict_on_gpu() const;  // where the last launch() writes a Verdict's bytes

 private:
  void step_on_cpu(double lr, const Tensor& loss);

  OptimizerOptions options_;
  std::vector<OptimizerSlot> slots_;
  Statistics statistics_;
  WeightAverage average_;
  Verdict verdict_;  // on the CPU
  std::unique_ptr<OptimizerTable> table_;
};

// While one lives, the model holds the averages.
class AverageInPlace {
 public:
  explicit AverageInPlace(Optimizer& optimizer) : optimizer_(optimizer) {
    optimizer_.swap_average();
  }
  ~AverageInPlace() { optimizer_.swap_average(); }
  AverageInPlace(const AverageInPlace&) = delete;
  AverageInPlace& operator=(const AverageInPlace&) = delete;

 private:
  Optimizer& optimizer_;
};

}  // namespace rmt::train
