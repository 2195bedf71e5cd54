#include "train/peak.h"

#include <gtest/gtest.h>

#include "train/run/progress_line.h"

namespace rmt::test {
using namespace data;
using namespace train;

// NVIDIA's own arithmetic: multiprocessors x clock x operations a clock. H100 SXM: 132 x 1.83 GHz x
// 4096.
TEST(Peak, GpusAreKnownByTheirNames) {
  EXPECT_NEAR(gpu_peak("NVIDIA H200", DType::bf16, false), 132 * 1.83e9 * 4096, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA H100 80GB HBM3", DType::bf16, false), 132 * 1.83e9 * 4096, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA H100 PCIe", DType::bf16, false), 114 * 1.62e9 * 4096, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA A100-SXM4-80GB", DType::bf16, false), 108 * 1.41e9 * 2048, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA A100 80GB PCIe", DType::f32, true), 108 * 1.41e9 * 1024, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA A100-SXM4-80GB", DType::f32, false), 108 * 1.41e9 * 128, 1e11);
  EXPECT_NEAR(gpu_peak("NVIDIA GeForce RTX 3090", DType::bf16, false), 82 * 1.695e9 * 512, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA GeForce RTX 4090", DType::bf16, false), 128 * 2.52e9 * 512, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA GeForce RTX 4090", DType::f32, false), 128 * 2.52e9 * 256, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA GeForce RTX 5090", DType::f32, true), 170 * 2.407e9 * 256, 1e12);
  EXPECT_NEAR(gpu_peak("NVIDIA L4", DType::bf16, false), 58 * 2.04e9 * 1024, 1e12);
}

TEST(Peak, WhatIsNotKnownIsNotGuessed) {
  for (const char* name : {"NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 3080 Ti",
                           "NVIDIA RTX A1000", "NVIDIA A100X", "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
                           "NVIDIA A10G", "rmt emulated device", "H200", ""})
    EXPECT_EQ(gpu_peak(name, DType::bf16, false), 0) << name;
  EXPECT_EQ(gpu_peak("NVIDIA H200", DType::f64, false), 0);
  EXPECT_EQ(model_flops_utilization(1'000'000, 100, 0), 0);
  EXPECT_DOUBLE_EQ(model_flops_utilization(4'777'000'000, 1000, 989e12), 6 * 4.777e12 / 989e12);
}

TEST(Peak, ProcessorsPeakIsANumberOfThisWorld) {  // 0.1 GFLOP/s to 10 TFLOP/s a thread
  const double peak = measure_processor_peak(1);
  EXPECT_GT(peak, 1e8);
  EXPECT_LT(peak, 1e13);
}

TEST(ProgressLine, SaysItAllInLessThan120Characters) {
  StepReport r{.epoch = 2,
               .epochs = 300,
               .step = 99,
               .steps = 2502,
               .loss = 5.37991,
               .mean_loss = 5.4010,
               .lr = 1.2e-3,
               .images_per_s = 1510.4,
               .waiting = 0.021};
  EXPECT_EQ(progress_text(r, 111909),
            "epoch 3/300  step 100/2502  loss 5.3799 (5.4010)  lr 1.20e-03  1510 img/s  wait 2 %  "
            "ETA 31:05:09");
  r.mfu = 0.1234, r.images_per_s = 96.25;
  EXPECT_EQ(progress_text(r, 0),
            "epoch 3/300  step 100/2502  loss 5.3799 (5.4010)  lr 1.20e-03  96.2 img/s  MFU 12.3 % "
            " wait 2 %  ETA 0:00:00");
  r = {.epoch = 299,
       .epochs = 300,
       .step = 10007,
       .steps = 10008,
       .loss = 10.7726,
       .mean_loss = 10.7726,
       .lr = 1e-3,
       .images_per_s = 12345,
       .waiting = 1,
       .mfu = 0.5};
  EXPECT_TRUE(progress_text(r, 200 * 3600)
                  .ends_with("loss 10.773 (10.773)  lr 1.00e-03  12345 img/s  MFU 50.0 %  wait 100 "
                             "%  ETA 200:00:00"))
      << "the longest that one sees";
  r.loss = 1e30, r.mean_loss = 1e30;
  EXPECT_LT(progress_text(r, 0).size(), 120u);
}

}  // namespace rmt::test
