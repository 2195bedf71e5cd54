// Writes a dataset as record files (data/record_format.h): decoding 256-pixel JPEGs costs a
// fraction of decoding photographs, and a few large files are read faster than a million small
// ones.
#pragma once
#include <functional>

#include "data/dataset.h"

namespace rmt::data {

struct PackOptions {
  // Pixels that the shorter side becomes. An image that is no larger keeps its bytes; with 0 every
  // image does.
  int64_t size = 256;
  // Of the JPEG files that resized images become, 1 ... 100. Up to 90 colour has half the
  // resolution (4:2:0).
  int quality = 90;
  int64_t shard_bytes = int64_t(1) << 30;  // about so much goes into one file
  bool force = false;                      // replace an earlier pack of this split
};

struct PackReport {
  int64_t images = 0, bytes = 0;  // packed, and what the shards take
  uint32_t shards = 0;
  std::vector<std::string> skipped;  // images that cannot be decoded: name and reason
};

// Packs all of `data`, in its order, into folder/<split>-*.rmtrec. On parallel_for's threads; the
// files do not depend on their number. The shards get their names when all of them are on disk.
// progress(done) is called now and then. Error, and nothing changes: options that make no sense, a
// pack that is there already (without `force`), a folder that would be read as something else, no
// readable image, a full disk.
PackReport pack_dataset(const Dataset& data, const std::string& folder, const std::string& split,
                        const PackOptions& options = {},
                        const std::function<void(int64_t done)>& progress = {});

}  // namespace rmt::data
