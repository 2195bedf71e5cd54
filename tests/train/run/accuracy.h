// What a test of a classifier found, for made-up logs.
#pragma once
#include "train/run/epoch_log.h"

namespace rmt::test {

inline train::TestResult accuracy(double acc1, double loss = 0, double acc5 = 0) {
  return {loss, {{"acc1", acc1}, {"acc5", acc5}}};
}

}  // namespace rmt::test
