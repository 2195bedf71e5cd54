// Machine code that was made up for these tests, in the form of nvdisasm.
#include <gtest/gtest.h>

#include "core/cuda/model/cost.h"
#include "core/cuda/model/walks.h"

namespace rmt::gpu_model {
namespace {

// y[i] = f(x[i]) in packs of 16 bytes, a thread to each: x is parameter 0, y parameter 1, n (32
// bits) parameter 2 of the launch. Then a loop of parameter 3 rounds, three instructions each.
constexpr const char* kStreaming = R"(
	.section	.text._Z4copyPKfPfii,"ax",@progbits
.text._Z4copyPKfPfii:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   S2R R0, SR_TID.X ;
        /*0020*/                   S2UR UR4, SR_CTAID.X ;
        /*0030*/                   LDC R7, c[0x0][RZ] ;
        /*0040*/                   IMAD R0, R7, UR4, R0 ;
        /*0050*/                   ISETP.GE.AND P0, PT, R0, c[0x0][0x220], PT ;
        /*0060*/               @P0 EXIT ;
        /*0070*/                   ULDC.64 UR6, c[0x0][0x208] ;
        /*0080*/                   LDC.64 R2, c[0x0][0x210] ;
        /*0090*/                   IMAD.WIDE R2, R0, 0x10, R2 ;
        /*00a0*/                   LDG.E.128 R8, desc[UR6][R2.64] ;
        /*00b0*/                   LDC.64 R4, c[0x0][0x218] ;
        /*00c0*/                   HFMA2.MMA R6, -RZ, RZ, 0, 0 ;
.L_x_0:
        /*00d0*/                   VIADD R6, R6, 0x1 ;
        /*00e0*/                   ISETP.NE.AND P0, PT, R6, c[0x0][0x224], PT ;
        /*00f0*/               @P0 BRA `(.L_x_0) ;
        /*0100*/                   LEA R4, P1, R0, R4, 0x4 ;
        /*0110*/                   LEA.HI.X.SX32 R5, R0, R5, 0x4, P1 ;
        /*0120*/                   STG.E.128 desc[UR6][R4.64], R8 ;
        /*0130*/                   EXIT ;
.L_x_1:
        /*0140*/                   BRA `(.L_x_1);
)";

// c = a / b with unsigned numbers, as nvcc compiles it; then c rounds of a loop of two.
constexpr const char* kDivision = R"(
.text.divide:
        /*0000*/                   LDC R4, c[0x0][0x214] ;
        /*0010*/                   I2F.U32.RP R0, R4 ;
        /*0020*/                   ISETP.NE.U32.AND P2, PT, R4, RZ, PT ;
        /*0030*/                   MUFU.RCP R0, R0 ;
        /*0040*/                   VIADD R2, R0, 0xffffffe ;
        /*0050*/                   F2I.FTZ.U32.TRUNC.NTZ R3, R2 ;
        /*0060*/                   IMAD.MOV.U32 R2, RZ, RZ, RZ ;
        /*0070*/                   IMAD.MOV R5, RZ, RZ, -R3 ;
        /*0080*/                   IMAD R5, R5, R4, RZ ;
        /*0090*/                   IMAD.HI.U32 R3, R3, R5, R2 ;
        /*00a0*/                   LDC R6, c[0x0][0x210] ;
        /*00b0*/                   IMAD.HI.U32 R3, R3, R6, RZ ;
        /*00c0*/                   IADD3 R5, -R3, RZ, RZ ;
        /*00d0*/                   IMAD R6, R4, R5, R6 ;
        /*00e0*/                   ISETP.GE.U32.AND P0, PT, R6, R4, PT ;
        /*00f0*/               @P0 IADD3 R6, -R4, R6, RZ ;
        /*0100*/               @P0 IADD3 R3, R3, 0x1, RZ ;
        /*0110*/                   ISETP.GE.U32.AND P1, PT, R6, R4, PT ;
        /*0120*/               @P1 VIADD R3, R3, 0x1 ;
        /*0130*/              @!P2 LOP3.LUT R3, RZ, R4, RZ, 0x33, !PT ;
.L_x_0:
        /*0140*/                   IADD3 R3, P0, R3, -0x1, RZ ;
        /*0150*/               @P0 BRA `(.L_x_0) ;
        /*0160*/                   EXIT ;
)";

template <class... T>
std::vector<unsigned char> arguments(T... values) {
  std::vector<unsigned char> bytes;
  auto add = [&](auto v) {
    const auto* p = reinterpret_cast<const unsigned char*>(&v);
    bytes.insert(bytes.end(), p, p + sizeof v);
  };
  (add(values), ...);
  return bytes;
}

constexpr uint64_t kX = uint64_t(0x7f1) << 32, kY = uint64_t(0x7f2) << 32;

TEST(MachineCode, KernelsLabelsAndOperands) {
  const auto kernels = read_machine_code(kStreaming);
  ASSERT_EQ(kernels.size(), 1u);
  const std::vector<Instruction>& code = kernels.at("_Z4copyPKfPfii").code;
  ASSERT_EQ(code.size(), 21u);
  EXPECT_EQ(code[15].target, 13);  // .L_x_0
  EXPECT_EQ(code[15].when.index, 0);
  EXPECT_EQ(code[10].name, "LDG");
  EXPECT_TRUE(code[10].has("128"));
  EXPECT_FALSE(code[10].has("12"));
  EXPECT_EQ(code[10].operands[1].kind, Operand::kMemory);
  EXPECT_EQ(code[10].operands[1].base, 2);
  EXPECT_TRUE(code[10].operands[1].wide);
  EXPECT_EQ(code[5].operands[3].kind, Operand::kConstant);
  EXPECT_EQ(code[5].operands[3].offset, 0x220);
}

TEST(MachineCode, WhatIsNoneIsSkipped) {
  for (const char* text : {"", "\n\n", ".text.", ".text.x:", ".text.x:\n/*", ".text.x:\n/*0*/ @",
                           ".text.x:\n/*0*/ ;", ".text.x:\n/*0*/ @P0;", ".text.x:\n/*0*/ BRA `(;",
                           ".text.x:\n/*0*/ LDG R, [;", ".text.x:\n/*0*/ IADD3 R999, c[, ] ;"}) {
    for (const auto& [name, kernel] : read_machine_code(text))
      walk(kernel, {}, {});  // ends, and reads nothing beyond what is there
  }
}

TEST(MachineCode, NamesWithoutWhatCompilersMangleTheirOwnWay) {
  EXPECT_EQ(short_name("void rmt::gpu::(anonymous namespace)::map_kernel<float, (int)4>(float*)"),
            "rmt::gpu::(anonymous namespace)::map_kernel<float, (int)4>");
  EXPECT_EQ(short_name("f<g(int)>(long)"), "f<g(int)>");
  EXPECT_EQ(short_name("plain"), "plain");
}

// 13 instructions, the loop's 3 in each round, 4 at the end.
TEST(Walk, ALoopCountsByItsRounds) {
  const Kernel kernel = read_machine_code(kStreaming).at("_Z4copyPKfPfii");
  const Place place{{3, 1, 1}, {256, 1, 1}, {2, 0, 0}, {7, 0, 0}};
  for (int rounds : {1, 10, 1000}) {
    const Walk w = walk(kernel, place, arguments(kX, kY, 700, rounds));
    EXPECT_EQ(w.instructions, 13 + 3 * rounds + 4);
    EXPECT_EQ(w.unknown, "");
    EXPECT_EQ(w.guesses, 0);
    ASSERT_EQ(w.accesses.size(), 2u);
    EXPECT_EQ(w.accesses[0].address, kX + 16 * (2 * 256 + 7));
    EXPECT_FALSE(w.accesses[0].write);
    EXPECT_EQ(w.accesses[1].address, kY + 16 * (2 * 256 + 7));
    EXPECT_TRUE(w.accesses[1].write);
    EXPECT_EQ(w.accesses[1].bytes, 16u);
  }
  EXPECT_EQ(walk(kernel, place, arguments(kX, kY, 519, 1)).instructions, 7);  // i = 519 exits
  EXPECT_EQ(walk(kernel, place, arguments(kX, kY, 700, 0)).unknown, "a loop without end");
}

// Numbers of 32 bits are divided by way of f32's reciprocal; the loop's rounds tell the quotient.
// c - 1 carries unless c is 0: c + 1 rounds of 2.
TEST(Walk, DividesAsTheGpuDoes) {
  const Kernel kernel = read_machine_code(kDivision).at("divide");
  for (uint32_t a : {0u, 1u, 6u, 7u, 8u, 12543u, 12544u, 99999u})
    for (uint32_t b : {1u, 2u, 3u, 7u, 56u, 100u, 4096u, 99999u, 4000000000u})
      EXPECT_EQ(walk(kernel, {}, arguments(a, b)).instructions, 20 + 2 * int64_t(a / b + 1) + 1)
          << a << " / " << b;
}

// A call goes on behind itself: 2 instructions, 2 of the function, 4 more. A branch on a number
// from memory is a guess, and is seen as one.
TEST(Walk, CallsReturnAndGuessesAreCounted) {
  const Kernel kernel = read_machine_code(R"(
.text.calls:
        /*0000*/                   MOV R0, 0x20 ;
        /*0010*/                   CALL.REL.NOINC `($helper) ;
        /*0020*/                   LDG.E R2, desc[UR4][R4.64] ;
        /*0030*/                   ISETP.NE.AND P0, PT, R2, RZ, PT ;
        /*0040*/              @!P0 BRA `(.L_x_0) ;
.L_x_0:
        /*0050*/                   EXIT ;
$helper:
        /*0060*/                   FADD R1, R1, 1 ;
        /*0070*/                   RET.REL.NODEC R0 `(calls) ;
)")
                            .at("calls");
  const Walk w = walk(kernel, {}, {});
  EXPECT_EQ(w.instructions, 8);
  EXPECT_EQ(w.guesses, 1);
}

// By hand: 3 blocks of 256 threads, n = 768 packs of 16 bytes: 12,288 bytes read and as many
// written; each thread executes 20 instructions in one round; so many again in 10,240 of them.
TEST(Cost, OfOneLaunchByHand) {
  const Kernel kernel = read_machine_code(kStreaming).at("_Z4copyPKfPfii");
  emulator::Note note{.name = "copy", .grid = dim3(3), .block = dim3(256)};
  note.arguments = arguments(kX, kY, 768, 1);
  note.memory = {{kX, kX + 768 * 16}, {kY, kY + 768 * 16}};
  const Cost cost = cost_of(note, &kernel, 4, 0);
  EXPECT_EQ(cost.bytes, 2 * 768 * 16);
  EXPECT_EQ(cost.elements, 768 * 4);
  EXPECT_EQ(cost.instructions, 768 * 20);
  const H200 gpu;
  const double bytes = 2 * 768 * 16 / (gpu.bandwidth * gpu.cached_gain);
  const double issue = 768 * 20 / 32 / (gpu.issue * gpu.issued);
  EXPECT_DOUBLE_EQ(cost.seconds, std::max(bytes, issue) + gpu.tail);
  EXPECT_STREQ(cost.binds, "launch");
  // Tensors that are longer than what the threads reach count as far as that.
  note.memory[0].end += 1 << 20;
  EXPECT_EQ(cost_of(note, &kernel, 4, 0).bytes, 2 * 768 * 16);
}

// (1000, 64) x (64, 32) in bf16, added to a C in f32, which is read, too.
TEST(Cost, OfAProduct) {
  emulator::Note note{.name = "multiply"};
  note.product = {.M = 1000, .N = 32, .K = 64, .accumulate = true, .in = 2, .out = 4};
  EXPECT_EQ(cost_of(note, nullptr, 4, 0).bytes, 2 * 1000 * 64 + 2 * 64 * 32 + 2 * 4 * 1000 * 32);
  note.product.batch = 3;
  EXPECT_EQ(cost_of(note, nullptr, 4, 0).bytes,
            3 * (2 * 1000 * 64 + 2 * 64 * 32 + 2 * 4 * 1000 * 32));
}

// The same launch on other tensors is the same work; on tensors of another size it is not.
TEST(Cost, WorkDoesNotDependOnAddresses) {
  emulator::Note a{.name = "copy"}, b = a;
  a.arguments = arguments(kX, kY, 768, 1);
  a.memory = {{kX, kX + 100}, {kY, kY + 100}};
  b.arguments = arguments(kX + 512, kY + 4096, 768, 1);
  b.memory = {{kX + 512, kX + 612}, {kY + 4096, kY + 4196}};
  EXPECT_EQ(work_of(a), work_of(b));
  b.memory[0].end += 4;
  EXPECT_NE(work_of(a), work_of(b));
}

}  // namespace
}  // namespace rmt::gpu_model
