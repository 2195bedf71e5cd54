#include "train/groups.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "core/error.h"
#include "train/nearest.h"

namespace rmt::train {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

// Is `beginning` made of the first parts of the dotted name?
bool begins(const std::string& name, const std::string& beginning) {
  return name.starts_with(beginning) &&
         (name.size() == beginning.size() || name[beginning.size()] == '.');
}

// Every beginning of every name, the whole name included: all that --freeze could have meant.
std::vector<std::string> beginnings(const std::vector<nn::Entry>& parameters) {
  std::set<std::string> all{"body"};
  for (const nn::Entry& e : parameters) {
    for (size_t dot = e.name.find('.'); dot != std::string::npos; dot = e.name.find('.', dot + 1))
      all.insert(e.name.substr(0, dot));
    all.insert(e.name);
  }
  return {all.begin(), all.end()};
}

void freeze(const std::vector<nn::Entry>& parameters, const std::string& names,
            const std::string& classifier, std::vector<ParameterRule>& rules) {
  size_t frozen = 0;
  for (std::string name : split(names, ',')) {
    while (name.ends_with('.')) name.pop_back();
    bool found = false;
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (name == "body" ? begins(parameters[i].name, classifier)
                         : !begins(parameters[i].name, name))
        continue;
      found = true;
      frozen += !std::exchange(rules[i].frozen, true);
    }
    CHECK(found, "--freeze ", names, ": no parameter's name begins with \"", name, "\"",
          did_you_mean(name, beginnings(parameters)));
  }
  CHECK(frozen < parameters.size() || parameters.empty(), "--freeze ", names,
        " freezes every parameter: nothing would learn; leave out at least the head");
}

// The block of a parameter: its name through the first number, "blocks.3.", and on through a
// second one that follows at once or behind "blocks": "stages.1.blocks.0.". "" for a parameter of
// no block, and of the stem, whose parts may be numbered as well.
std::string block_of(const std::string& name) {
  if (begins(name, "patch_embed") || begins(name, "stem")) return "";
  std::string block, read;
  bool numbered = false;
  for (const std::string& part : split(name, '.')) {
    const bool number = part.find_first_not_of("0123456789") == std::string::npos;
    read += part + ".";
    if (number) block = read;
    if (number && numbered) break;
    if (!number && numbered && part != "blocks") break;
    numbered = numbered || number;
  }
  return block;
}

// The layer of each parameter, counted from 0 at the image, and how many there are.
std::pair<std::vector<int>, int> layers_of(const std::vector<nn::Entry>& parameters,
                                           const std::string& classifier) {
  std::set<std::string> blocks;
  for (const nn::Entry& e : parameters) blocks.insert(block_of(e.name));
  // "layers.0." is a stage and no block where there is "layers.0.blocks.0.", which sorts behind it.
  auto is_stage = [&](const std::string& block) {
    const auto next = blocks.upper_bound(block);
    return next != blocks.end() && next->starts_with(block);
  };
  std::vector<int> layers;
  std::string last;
  int layer = 0;
  for (const nn::Entry& e : parameters) {
    const std::string block = begins(e.name, classifier) ? "" : block_of(e.name);
    const bool in_a_block = !block.empty() && !is_stage(block);
    if (in_a_block && block != last) last = block, ++layer;
    layers.push_back(in_a_block || layer == 0 ? layer : layer + 1);
  }
  for (size_t i = 0; i < parameters.size(); ++i)
    if (begins(parameters[i].name, classifier)) layers[i] = layer + 1;
  return {layers, layer + 2};
}

void scale_rates(const std::vector<nn::Entry>& parameters, double layer_decay,
                 const std::string& classifier, std::vector<ParameterRule>& rules) {
  const auto [layers, count] = layers_of(parameters, classifier);
  for (size_t i = 0; i < parameters.size(); ++i)
    rules[i].lr_scale = std::pow(layer_decay, count - 1 - layers[i]);
}

// What people call such a parameter: "matrices and filters", ...
std::string kind(const std::string& name, const Shape& shape) {
  if (name.ends_with("gamma_1") || name.ends_with("gamma_2")) return "gamma";
  return decays(name, shape) ? "matrices and filters" : "biases and norms";
}

struct Group {
  std::set<std::string> kinds;
  std::string first, last;
  int64_t tensors = 0, numbers = 0;
};

std::string layer_of(const std::string& parameter) {
  return parameter.substr(0, parameter.find_last_of('.'));
}

// As --no-decay-of says.
bool spared(const nn::Entry& e, const std::string& rule, const std::set<std::string>& norms) {
  if (rule == "vectors") return !decays(e.name, e.tensor->shape());
  if (rule == "nothing") return false;
  return e.name.find("norm") != std::string::npos ||
         (rule == "norms" && norms.count(layer_of(e.name)));
}

}  // namespace

bool decays(const std::string& name, const Shape& shape) {
  for (const char* spared : {"pos_embed", "cls_token", "relative_position_bias_table"})
    if (name.ends_with(spared)) return false;
  return shape.rank() > 1 && !name.ends_with(".bias");
}

std::set<std::string> batch_norms(const std::vector<nn::Entry>& state) {
  std::set<std::string> layers;
  for (const nn::Entry& e : state)
    if (e.name.ends_with(".running_mean")) layers.insert(layer_of(e.name));
  return layers;
}

std::vector<ParameterRule> parameter_rules(const std::vector<nn::Entry>& parameters,
                                           const TrainOptions& options,
                                           const std::string& classifier,
                                           const std::set<std::string>& norms) {
  std::vector<ParameterRule> rules(parameters.size());
  if (options.layer_decay != 1) scale_rates(parameters, options.layer_decay, classifier, rules);
  if (!options.freeze.empty()) freeze(parameters, options.freeze, classifier, rules);
  for (size_t i = 0; i < parameters.size(); ++i) {
    // Those of a head begin anew, with statistics of nothing: they go on learning.
    const std::string& name = parameters[i].name;
    if (options.bn == "frozen" && name.starts_with("backbone."))
      rules[i].frozen |= norms.count(layer_of(name)) > 0;
    if (!rules[i].frozen && !spared(parameters[i], options.no_decay, norms))
      rules[i].weight_decay = options.weight_decay;
  }
  return rules;
}

std::string describe_groups(const std::vector<nn::Entry>& parameters,
                            const std::vector<ParameterRule>& rules) {
  // Keys: (learns, rate, -decay): frozen ones first, then from the stem up, those that decay first.
  std::map<std::tuple<bool, double, double>, Group> groups;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const ParameterRule& r = rules[i];
    const nn::Entry& e = parameters[i];
    Group& g = groups[{!r.frozen, r.frozen ? 0 : r.lr_scale, r.frozen ? 0 : -r.weight_decay}];
    if (g.first.empty()) g.first = e.name;
    g.last = e.name;
    g.kinds.insert(kind(e.name, e.tensor->shape()));
    ++g.tensors;
    g.numbers += e.tensor->numel();
  }
  std::string text = "weight decay  rate x    tensors     numbers  what\n";
  for (const auto& [key, g] : groups) {
    auto [learns, scale, decay] = key;
    std::string what;
    for (const std::string& k : g.kinds) what += (what.empty() ? "" : ", ") + k;
    if (rules.size() > size_t(g.tensors) && (!learns || groups.size() > 2))
      what += ": " + g.first + (g.tensors > 1 ? " ... " + g.last : "");
    char line[96];
    if (learns)
      std::snprintf(line, sizeof line, "%12g  %-8.3g%9lld %11lld  ", decay == 0 ? 0. : -decay,
                    scale, static_cast<long long>(g.tensors), static_cast<long long>(g.numbers));
    else
      std::snprintf(line, sizeof line, "%12s  %-8s%9lld %11lld  ", "frozen", "0",
                    static_cast<long long>(g.tensors), static_cast<long long>(g.numbers));
    text += line + what + "\n";
  }
  return text;
}

}  // namespace rmt::train
