// Whole files, read and written by one call each. Every file that this project writes goes through
// here or through OutputFile, and so survives a full disk and a kill at any moment: it is whole or
// not there at all. Every file of the user's goes through here or through InputFile, and so cannot
// make us wait, fill the memory or read beyond its end. Errors begin with the path.
#pragma once
#include <string>
#include <vector>

#include "core/files/input_file.h"
#include "core/files/output_file.h"

namespace rmt {

struct Bytes {
  const void* data;
  size_t size;
};

// The whole file; Error when it has more bytes than that.
std::string read_file(const std::string& path, size_t most_bytes);
std::vector<uint8_t> read_bytes(const std::string& path, size_t most_bytes);
// The same as lines, without their ends (\n or \r\n).
std::vector<std::string> read_lines(const std::string& path, size_t most_bytes);

// Replaces `path` by the parts, one after the other: written to path.tmp in the same folder,
// fsynced, renamed. On any failure the temporary is removed and the previous file stays as it was.
void write_file(const std::string& path, const std::vector<Bytes>& parts);
void write_file(const std::string& path, const std::string& text);

// Writes the parts to `path` itself and waits for no disk: for the many files of a new folder that
// gets its own name when all of them are there.
void write_unsynced(const std::string& path, const std::vector<Bytes>& parts);

// Adds text to the end; what cannot be written whole is taken back.
void append(const std::string& path, const std::string& text);
// The same with text + '\n'; after a line that a kill has cut short the new one begins on its own.
void append_line(const std::string& path, const std::string& text);

}  // namespace rmt
