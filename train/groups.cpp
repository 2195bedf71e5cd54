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

// Where a parameter stands, as (stage, block): "layers.2.blocks.5.x" -> (2, 5),
// "layers.1.downsample.x" -> (2, 0); the stem before all blocks, the rest after all.
std::pair<int, int> place(const std::string& name) {
  int stage = 0, block = 0;
  if (name.starts_with("patch_embed.")) return {-1, 0};
  if (std::sscanf(name.c_str(), "layers.%3d.blocks.%6d.", &stage, &block) == 2)
    return {stage, block};
  if (std::sscanf(name.c_str(), "layers.%3d.", &stage) == 1) return {stage + 1, 0};
  return {1000, 0};
}

// The same where there are no stages. A block's name is that of its parameters through the first
// number, "blocks.3", and on through a second one that follows at once or behind "blocks":
// "stages.1.blocks.0". "" for a parameter of no block.
std::string block_of(const std::string& name) {
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
std::pair<std::vector<int>, int> layers_of(const std::vector<nn::Entry>& parameters) {
  std::map<std::pair<int, int>, int> layers{{place("patch_embed."), 0}, {place("head."), 0}};
  std::vector<std::pair<int, int>> places;
  bool stages = false;
  int block = -1;
  std::string last;
  for (const nn::Entry& e : parameters) stages = stages || e.name.starts_with("layers.");
  for (const nn::Entry& e : parameters) {
    const std::string now = block_of(e.name);
    if (!stages && !now.empty() && now != last) last = now, ++block;
    if (stages)
      places.push_back(place(e.name));
    else
      places.push_back(!now.empty() ? std::pair(block, 0) : std::pair(block < 0 ? -1 : 1000, 0));
    layers[places.back()] = 0;
  }
  int number = 0;
  for (auto& [where, layer] : layers) layer = number++;
  std::vector<int> out;
  for (const auto& where : places) out.push_back(layers.at(where));
  return {out, number};
}

void scale_rates(const std::vector<nn::Entry>& parameters, double layer_decay,
                 std::vector<ParameterRule>& rules) {
  const auto [layers, count] = layers_of(parameters);
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

}  // namespace

bool decays(const std::string& name, const Shape& shape) {
  for (const char* spared : {"pos_embed", "cls_token", "relative_position_bias_table"})
    if (name.ends_with(spared)) return false;
  return shape.rank() > 1 && !name.ends_with(".bias");
}

std::vector<ParameterRule> parameter_rules(const std::vector<nn::Entry>& parameters,
                                           const TrainOptions& options,
                                           const std::string& classifier) {
  std::vector<ParameterRule> rules(parameters.size());
  if (options.layer_decay != 1) scale_rates(parameters, options.layer_decay, rules);
  if (!options.freeze.empty()) freeze(parameters, options.freeze, classifier, rules);
  for (size_t i = 0; i < parameters.size(); ++i)
    if (!rules[i].frozen && decays(parameters[i].name, parameters[i].tensor->shape()))
      rules[i].weight_decay = options.weight_decay;
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
