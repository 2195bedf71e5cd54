#include "core/files/crc32c.h"

#include "core/files/crc_by_8.h"

namespace rmt {

uint32_t crc32c(const void* data, size_t bytes, uint32_t before) {
  static constexpr CrcTables tables = crc_tables(0x82f63b78);  // 0x1EDC6F41 reflected
  return crc_by_8(tables, data, bytes, before);
}

}  // namespace rmt
