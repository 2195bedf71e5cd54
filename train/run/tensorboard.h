// TensorBoard's event files, written without its library: a file of records (TensorFlow's TFRecord
// framing), each an Event in protobuf's wire format (tensorflow/core/util/event.proto,
// framework/summary.proto). The file is a function of log.jsonl.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "train/run/epoch_log.h"

namespace rmt::train {

// The whole file: its version, then an event an epoch (step = epoch, wall time = when it ended)
// with the scalars loss/train, loss/test, top1/test, top1/ema, lr and images_per_s, as f32; those
// that are not finite, or not known, are left out.
std::string event_file(const std::vector<EpochLog>& log, int64_t created);

// Brings the run folder's events.out.tfevents.<unix time>.<host> up to the log. A file that holds
// the beginning of it is appended to, so that a TensorBoard that has it open sees the new epochs,
// and one that a kill cut in mid-record is made whole; any other is replaced.
void update_event_file(const std::string& folder, const std::vector<EpochLog>& log);

// A record: its length (u64), the length's masked CRC-32C, the bytes, their masked CRC-32C (u32);
// little-endian. Masked: rotated right by 15, plus 0xA282EAD8.
std::string tf_record(const std::string& data);

}  // namespace rmt::train
