// What lies in a folder of images: packed into a few large files that read fast, or checked from
// the first image to the last.
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "core/files/files.h"
#include "core/parallel.h"
#include "data/sets/check.h"
#include "data/sets/class_names.h"
#include "data/sets/pack.h"
#include "data/sets/remarks.h"
#include "examples/program.h"
#include "train/run/progress_line.h"

using namespace rmt;

struct Flags {
  std::string data_dir, out, split = "all";
  data::PackOptions pack;
  double val_split = 0;
  int64_t shard_mb = 1024;
  int threads = 0;
  bool json = false;
};

// "train: 51200 of 1281167, 720 img/s, 0:28:28 left" on stderr: repainted on a terminal, a line
// every ten seconds elsewhere.
class Progress {
 public:
  void show(const std::string& what, int64_t done, int64_t of) {
    if (what != what_) {
      what_ = what;
      clock_ = {};
      repaint_ = {};
      first_ = true;
    }
    if (!first_ && repaint_.seconds() < (terminal_ ? 0.2 : 10)) return;
    if (first_ && !terminal_) return void(first_ = false);
    first_ = false;
    repaint_ = {};
    const double rate = double(done) / std::max(clock_.seconds(), 1e-3);
    std::fprintf(stderr, "%s%s: %lld of %lld, %.0f img/s, %s left%s", terminal_ ? "\r\033[K" : "",
                 what.c_str(), static_cast<long long>(done), static_cast<long long>(of), rate,
                 train::hours_minutes_seconds(double(of - done) / rate).c_str(),
                 terminal_ ? "" : "\n");
  }
  void clear() const {
    if (terminal_) std::fputs("\r\033[K", stderr);
  }

 private:
  bool terminal_ = isatty(2), first_ = true;
  std::string what_;
  train::Stopwatch clock_, repaint_;
};

static void copy_class_table(const std::string& from, const std::string& to,
                             const std::vector<std::string>& classes) {
  const std::string table = data::find_class_table(from);
  if (table.empty() || !data::find_class_table(to).empty()) return;
  const std::vector<std::string> words = data::class_words(classes, data::read_class_table(table));
  std::string lines;
  for (size_t k = 0; k < classes.size(); ++k) lines += classes[k] + "\t" + words[k] + "\n";
  write_file(to + "/words.tsv", lines);
}

static int pack_splits(Flags& f) {
  f.pack.shard_bytes = f.shard_mb << 20;
  std::vector<std::string> splits = {"train", "val"}, classes;
  if (f.split != "all") splits = {f.split};
  if (f.split == "all" && f.val_split == 0 &&
      (data::has_split(f.data_dir, "train") || data::has_split(f.data_dir, "val")))
    std::erase_if(splits, [&](const std::string& s) { return !data::has_split(f.data_dir, s); });
  else if (f.split == "val" && f.val_split == 0 && data::has_split(f.data_dir, "train"))
    classes = data::open_dataset(f.data_dir, "train")->classes();  // labels as they are in training
  for (const std::string& split : splits) {
    const auto data = data::open_dataset(f.data_dir, split, classes, f.val_split);
    for (const std::string& line : data::remarks_on_files(data->leftovers(), data->place()))
      std::cerr << printable(line) << "\n";
    if (classes.empty()) classes = data->classes();
    train::Stopwatch clock;
    Progress progress;
    const data::PackReport r = pack_dataset(*data, f.out, split, f.pack, [&](int64_t done) {
      progress.show(split, done, data->size());
    });
    progress.clear();
    for (const std::string& reason : r.skipped)
      std::cerr << "skipped: " << printable(reason) << "\n";
    std::printf("%s/%s: %lld images in %u shards, %.1f MB, %.0f img/s; %zu skipped\n",
                f.out.c_str(), split.c_str(), static_cast<long long>(r.images), r.shards,
                double(r.bytes) / 1e6, double(r.images) / clock.seconds(), r.skipped.size());
  }
  copy_class_table(f.data_dir, f.out, classes);
  return 0;
}

static void print_list(const char* title, const std::vector<data::CheckedImage>& list,
                       size_t most) {
  if (!list.empty()) std::printf("  %s: %zu\n", title, list.size());
  for (size_t i = 0; i < list.size() && i < most; ++i) {
    const std::string name = printable(list[i].name), what = printable(list[i].what);
    const bool named = what.starts_with(name);
    std::printf("    %s%s%s\n", named ? "" : name.c_str(), named ? "" : ": ", what.c_str());
  }
  if (list.size() > most) std::printf("    and %zu more (--json lists all)\n", list.size() - most);
}

static void print_report(const data::DataReport& r) {
  constexpr size_t kMost = 20;
  for (const data::SplitReport& s : r.splits) {
    const auto [least, most] = std::minmax_element(s.images.begin(), s.images.end());
    std::printf("%s: %s: %lld images of %zu classes, %lld to %lld of each, %.1f MB\n",
                s.split.c_str(), printable(s.place).c_str(), static_cast<long long>(s.all()),
                s.classes.size(), static_cast<long long>(*least), static_cast<long long>(*most),
                double(s.bytes) / 1e6);
    for (const auto& [kind, n] : s.kinds)
      std::printf("  %s: %lld\n", kind.c_str(), static_cast<long long>(n));
    print_list("broken", s.broken, s.broken.size());
    print_list("a side below 32 pixels", s.small, kMost);
    print_list("unusual, and read all the same", s.odd, kMost);
    for (const std::string& line : data::remarks_on_files(s.leftovers, s.place, true))
      std::printf("  %s\n", printable(line).c_str());
  }
  std::vector<data::CheckedImage> leaks, conflicts, others;
  for (const data::Duplicate& d : r.duplicates)
    (d.leak ? leaks : d.conflict ? conflicts : others).push_back({d.second, "equals " + d.first});
  if (!r.duplicates.empty()) std::printf("the same bytes twice\n");
  print_list("a training image in val (leak)", leaks, kMost);
  print_list("in two classes", conflicts, kMost);
  print_list("in one class", others, kMost);
  for (const std::string& remark : r.remarks) std::printf("%s\n", printable(remark).c_str());
  std::printf("%s\n", r.broken() ? "there are broken images: replace or remove them"
                                 : "every image can be read");
}

// As JSON; bytes that are not ASCII stay as they are where they are UTF-8, and become U+FFFD
// elsewhere.
static std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (size_t i = 0, length = 0; i < text.size(); i += std::max<size_t>(length, 1)) {
    length = utf8_length(std::string_view(text).substr(i));
    const auto c = uint8_t(text[i]);
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
    if (c < 32 || c == '"' || c == '\\' || c == 127)
      out += escaped;
    else
      out += length > 0 ? text.substr(i, length) : "\\ufffd";
  }
  return out + "\"";
}

static std::string json_list(const std::vector<data::CheckedImage>& list) {
  std::string out;
  for (const data::CheckedImage& c : list)
    out += str(out.empty() ? "" : ", ", "{\"name\": ", quoted(c.name),
               ", \"what\": ", quoted(c.what), "}");
  return "[" + out + "]";
}

static void print_json(const data::DataReport& r) {
  std::string splits, duplicates, remarks;
  for (const data::SplitReport& s : r.splits) {
    std::string kinds, classes, unread;
    for (const auto& [kind, files] : s.leftovers.unread)
      unread += str(unread.empty() ? "" : ", ", quoted(kind), ": ", files.count);
    for (const auto& [kind, n] : s.kinds)
      kinds += str(kinds.empty() ? "" : ", ", quoted(kind), ": ", n);
    for (size_t k = 0; k < s.classes.size(); ++k)
      classes += str(k ? ", " : "", quoted(s.classes[k]), ": ", s.images[k]);
    splits += str(splits.empty() ? "" : ", ", "{\"split\": ", quoted(s.split),
                  ", \"place\": ", quoted(s.place), ", \"images\": ", s.all(),
                  ", \"bytes\": ", s.bytes, ", \"kinds\": {", kinds, "}, \"classes\": {", classes,
                  "}, \"broken\": ", json_list(s.broken), ", \"small\": ", json_list(s.small),
                  ", \"odd\": ", json_list(s.odd), ", \"unread\": {", unread,
                  "}, \"beside_class_folders\": ", s.leftovers.beside.count,
                  ", \"below_class_folders\": ", s.leftovers.deeper.count, "}");
  }
  for (const data::Duplicate& d : r.duplicates)
    duplicates += str(duplicates.empty() ? "" : ", ", "{\"first\": ", quoted(d.first),
                      ", \"second\": ", quoted(d.second), ", \"leak\": ", d.leak ? "true" : "false",
                      ", \"conflict\": ", d.conflict ? "true" : "false", "}");
  for (const std::string& remark : r.remarks)
    remarks += str(remarks.empty() ? "" : ", ", quoted(remark));
  std::printf("{\"broken\": %s, \"splits\": [%s], \"duplicates\": [%s], \"remarks\": [%s]}\n",
              r.broken() ? "true" : "false", splits.c_str(), duplicates.c_str(), remarks.c_str());
}

static int check_splits(const Flags& f) {
  Progress progress;
  const data::DataReport report = data::check_data(
      f.data_dir,
      [&](const std::string& split, int64_t done, int64_t of) { progress.show(split, done, of); },
      f.val_split);
  progress.clear();
  f.json ? print_json(report) : print_report(report);
  return report.broken() ? 1 : 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Packs images for training, or checks them.", "rmt-data");
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  const char* data_dir = "folder with train/ and val/, or another layout that rmt-train reads";
  const char* threads = "threads; 0: RMT_THREADS, else every processor";
  const char* val_split =
      "where there is no val/, hold this part of every class out for it, as rmt-train does";
  CLI::App* pack =
      app.add_subcommand("pack",
                         "write record files: images made smaller once, many in a file, a checksum "
                         "each; rmt-train takes their folder as --data-dir");
  pack->add_option("--data-dir,--data-path", f.data_dir, data_dir)->required();
  pack->add_option("--out,--output", f.out, "folder for the record files")->required();
  pack->add_option("--size", f.pack.size,
                   "pixels of the shorter side, never enlarged; 0: the original files, untouched")
      ->check(CLI::Range(0, 16384));
  pack->add_option(
          "--quality", f.pack.quality,
          "of the JPEG files that resized images become; above 90 colour keeps its full resolution")
      ->check(CLI::Range(1, 100));
  pack->add_option("--shard-mb", f.shard_mb, "MiB of a file")->check(CLI::Range(1, 1 << 20));
  pack->add_option("--split", f.split, "train, val or all")
      ->check(CLI::IsMember({"train", "val", "all"}));
  pack->add_option("--val-split", f.val_split, val_split)->check(CLI::Range(0., 0.9));
  pack->add_flag("--force", f.pack.force, "replace an earlier pack");
  pack->add_option("--threads", f.threads, threads)->check(CLI::Range(0, 1024));
  CLI::App* check = app.add_subcommand("check",
                                       "decode every image, count classes, find broken and equal "
                                       "files; exit status 1 when an image is broken");
  check->add_option("--data-dir,--data-path", f.data_dir, data_dir)->required();
  check->add_option("--val-split", f.val_split, val_split)->check(CLI::Range(0., 0.9));
  check->add_flag("--json", f.json, "print everything as one JSON object");
  check->add_option("--threads", f.threads, threads)->check(CLI::Range(0, 1024));
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] {
    if (f.threads > 0) set_threads(f.threads);
    return *pack ? pack_splits(f) : check_splits(f);
  });
}
