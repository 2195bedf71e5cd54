// Programs that do several things: the first word says which.
#pragma once
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "examples/program.h"

namespace rmt {

struct Verb {
  std::string name, about;
  std::function<int(int argc, char** argv)> run;  // argv[0] is the verb
};

// Runs the verb that the first word names, on the words behind it. Without one, or with --help, the
// verbs are listed.
inline int run_verb(const std::string& program, int argc, char** argv,
                    const std::vector<Verb>& verbs) {
  const std::string word = argc > 1 ? argv[1] : "";
  for (const Verb& v : verbs)
    if (word == v.name) return v.run(argc - 1, argv + 1);
  begin_process();
  if (word == "--version") {
    std::cout << version_text() << std::endl;
    return end_process(program, 0);
  }
  const bool help = word == "--help" || word == "-h";
  std::ostream& out = help ? std::cout : std::cerr;
  std::vector<std::string> names;
  for (const Verb& v : verbs) names.push_back(v.name);
  if (!help && !word.empty())
    out << program << ": there is no " << quoted_word(word) << train::did_you_mean(word, names)
        << "\n";
  for (const Verb& v : verbs)
    out << (&v == &verbs[0] ? "usage: " : "       ") << program << " " << v.name << " ...   "
        << v.about << "\n";
  out << "each answers --help" << std::endl;
  return end_process(program, help ? 0 : 2);
}

}  // namespace rmt
