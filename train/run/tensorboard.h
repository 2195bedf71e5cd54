// TensorBoard's event files, written without its library. Such a file is a list of records in
// TensorFlow's TFRecord framing, and each record is an Event in protobuf's wire format
// (tensorflow/core/util/event.proto, framework/summary.proto):
//
//   8 bytes: N | 4: checksum of them | N bytes: the Event | 4: checksum of these | the next record
//
// Everything in it follows from log.jsonl.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "train/run/epoch_log.h"

namespace rmt::train {

// The whole file: a record with its version, then one for each epoch, whose step is the epoch and
// whose wall time is when it ended, with the scalars loss/train, loss/test, top1/test, top1/ema (of
// other scores <name>/test and <name>/ema), lr and images_per_s as f32. Those that are not finite,
// or not known, are left out.
std::string event_file(const std::vector<EpochLog>& log, int64_t created);

// Brings the run folder's events.out.tfevents.<unix time>.<host> up to the log. If the file is the
// beginning of what it should be, the rest is appended: a TensorBoard that has it open sees the new
// epochs, and a record that a kill has cut short is made whole. Any other file is replaced.
void update_event_file(const std::string& folder, const std::vector<EpochLog>& log);

// One record: the length of `data` (u64), the length's masked CRC-32C (u32), the data, its masked
// CRC-32C; all little-endian. A CRC is masked by a rotation right by 15 bits and the addition of
// 0xA282EAD8, since the CRC of bytes that hold their own CRC is a constant.
std::string tf_record(const std::string& data);

}  // namespace rmt::train
