#include "train/optimizer.h"

#include "autograd/tape.h"
#include "train/optimizer_table.h"

namespace rmt::train {
namespace {

ParameterRule usual_rule(const nn::Entry& e, const OptimizerOptions& o) {
  const double weight_decay = o.sgd ? o.sgd->weight_decay : o.adamw.weight_decay;
  return {.weight_decay = decays(e.name, e.tensor->shape()) ? weight_decay : 0};
}

}  // namespace

Optimizer::Optimizer(const std::vector<nn::Entry>& parameters, const OptimizerOptions& options,
                     const std::vector<ParameterRule>& rules,
                     const std::vector<nn::Entry>& statistics)
    : options_(options), statistics_(statistics), average_(options.average_decay) {
  CHECK(rules.empty() || rules.size() == parameters.size(), "optimizer: ", rules.size(),
        " rules for ", parameters.size(), " parameters");
  for (size_t i = 0; i < parameters.size(); ++i) {
    const nn::Entry& e = parameters[i];
    const Tensor& p = *e.tensor;
    CHECK(p.device() == parameters[0].tensor->device(), "optimizer: ", e.name, " is on ",
          p.device(), ", others are not");
    const ParameterRule rule = rules.empty() ? usual_rule(e, options) : rules[i];
    if (rule.frozen) continue;
    slots_.push_back({e.name, e.tensor, rule.weight_decay, rule.lr_scale, Tensor::zeros_like(p),
                      options.sgd ? Tensor() : Tensor::zeros_like(p)});
    average_.add(e.name, e.tensor);
  }
  for (const Statistics::Entry& e : statistics_.entries()) average_.add(e.name, e.buffer);
  if (slots_.empty() || slots_[0].parameter->device() == Device::cpu) return;
  table_ = std::make_unique<OptimizerTable>(slots_, statistics_, average_);
}

Optimizer::~Optimizer() = default;

void Optimizer::step(double lr, const Tensor& loss) {
  if (!table_) return step_on_cpu(lr, loss);
  find_gradients();
  send_arrays();
  table_->rate().copy_from(Tensor::from<double>({lr}, {}));
  launch(loss);
}

void Optimizer::step_on_cpu(double lr, const Tensor& loss) {
  std::vector<Tensor> gradients;
  for (const OptimizerSlot& slot : slots_) gradients.push_back(grad(*slot.parameter));
  const Judgement judgement = judge(gradients, loss, options_.guard);
  verdict_ = judgement.verdict;
  if (!verdict_.finite()) return statistics_.take_back();

  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    if (options_.sgd)
      sgd(slots_[i], gradients[i], judgement.gradient_scale, lr, *options_.sgd);
    else
      adamw(slots_[i], gradients[i], judgement.gradient_scale, lr, options_.adamw);
    refresh_shadow(*slots_[i].parameter);
    average_.follow(i);
  }
  statistics_.keep();
  for (size_t i = 0; i < statistics_.entries().size(); ++i) average_.follow(slots_.size() + i);
}

Verdict Optimizer::verdict() const { return table_ ? table_->verdict() : verdict_; }

std::vector<OptimizerSlot>& Optimizer::slots() {
  if (table_) table_->fetch_counts(slots_);
  return slots_;
}

void Optimizer::set_counts() {
  if (table_) table_->send_counts(slots_);
}

void Optimizer::begin_again() {
  statistics_.keep();
  average_.begin_again();
}

void Optimizer::swap_average() {
  CHECK(average_.on(), "optimizer: there are no averages to swap");
  table_ ? table_->swap_averages(slots_) : average_.swap();
}

void Optimizer::find_gradients() { table_->find_gradients(slots_); }
void Optimizer::send_arrays() { table_->send_arrays(); }
const Tensor& Optimizer::rate_on_gpu() const { return table_->rate(); }
void Optimizer::launch(const Tensor& loss) { table_->launch(options_, loss); }
const void* Optimizer::verdict_on_gpu() const { return table_->view().verdict; }

}  // namespace rmt::train
