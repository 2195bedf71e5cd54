#include "core/files/crc32.h"

#include "core/files/crc_by_8.h"

namespace rmt {

uint32_t crc32(const void* data, size_t bytes) {
  static constexpr CrcTables tables = crc_tables(0xedb88320);
  return crc_by_8(tables, data, bytes, 0);
}

}  // namespace rmt
