// A folder in which one process works and no other. The lock is the kernel's (flock) and ends with
// the process, however that ends, so nobody has to clean up after a kill; the file that carries it
// stays, and says who holds it, or held it last: "pid 4711 on node12".
#pragma once
#include <memory>
#include <string>

namespace rmt {

class FolderLock {
 public:
  // Locks folder/name until the last copy is gone; nullptr when another process has it, whom
  // `owner` names then. A file system without locks stops nobody. Error when the file cannot be
  // made.
  static std::shared_ptr<FolderLock> take(const std::string& folder, const std::string& name,
                                          std::string& owner);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // Where the folder is now, that once was at `path`: there, or (on Linux) where it was moved to;
  // "" when it was removed.
  std::string find(const std::string& path) const;

 private:
  FolderLock(int folder, int file) : folder_(folder), file_(file) {}
  int folder_, file_;  // descriptors
};

}  // namespace rmt
