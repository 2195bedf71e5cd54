// Which instruction does what.
#include <unordered_map>

#include "core/cuda/model/call.h"

namespace rmt::gpu_model {
namespace {

using Handler = void (*)(Call&);
const std::unordered_map<std::string, Handler> kHandlers = {{"IADD3", add3},
                                                            {"UIADD3", add3},
                                                            {"IMAD", multiply_add},
                                                            {"UIMAD", multiply_add},
                                                            {"LEA", scaled_add},
                                                            {"ULEA", scaled_add},
                                                            {"VIADD", add},
                                                            {"IABS", absolute},
                                                            {"VIMNMX", extreme},
                                                            {"IMNMX", extreme},
                                                            {"UIMNMX", extreme},
                                                            {"VIADDMNMX", add_extreme},
                                                            {"LOP3", logic},
                                                            {"ULOP3", logic},
                                                            {"PLOP3", predicate_logic},
                                                            {"UPLOP3", predicate_logic},
                                                            {"SHF", shift},
                                                            {"USHF", shift},
                                                            {"PRMT", permute},
                                                            {"UPRMT", permute},
                                                            {"POPC", count_bits},
                                                            {"UPOPC", count_bits},
                                                            {"FLO", leading_one},
                                                            {"UFLO", leading_one},
                                                            {"BREV", reverse_bits},
                                                            {"UBREV", reverse_bits},
                                                            {"SEL", select},
                                                            {"USEL", select},
                                                            {"FSEL", select},
                                                            {"ISETP", compare},
                                                            {"UISETP", compare},
                                                            {"FSETP", compare_real},
                                                            {"FADD", add_real},
                                                            {"FMUL", multiply_real},
                                                            {"FFMA", multiply_add_real},
                                                            {"FMNMX", extreme_real},
                                                            {"MUFU", function},
                                                            {"I2F", to_real},
                                                            {"I2FP", to_real},
                                                            {"F2I", to_integer},
                                                            {"FCHK", check_division},
                                                            {"MOV", move},
                                                            {"UMOV", move},
                                                            {"R2UR", move},
                                                            {"HFMA2", halves},
                                                            {"VOTE", vote},
                                                            {"VOTEU", vote},
                                                            {"SHFL", shuffle},
                                                            {"P2R", pack_predicates},
                                                            {"R2P", unpack_predicates},
                                                            {"HMMA", guess_tile},
                                                            {"F2FP", guess_word},
                                                            {"HADD2", guess_word},
                                                            {"HMUL2", guess_word},
                                                            {"HMNMX2", guess_word},
                                                            {"F2F", guess},
                                                            {"DADD", guess},
                                                            {"DMUL", guess},
                                                            {"DFMA", guess},
                                                            {"DSETP", guess},
                                                            {"HSETP2", guess},
                                                            {"I2I", move},
                                                            {"REDUX", guess_word},
                                                            {"MOVM", guess_word},
                                                            {"LEPC", guess},
                                                            {"MATCH", guess_word},
                                                            {"FSWZADD", guess_word}};

// Which operands are written: the predicates before and behind the first register, and that.
void assign_roles(Call& c) {
  const std::string& n = c.i.name;
  const bool no_register =
      n.ends_with("SETP") || n == "PLOP3" || n == "UPLOP3" || n == "FCHK" || n == "HSETP2";
  const size_t most = n == "FCHK" ? 1 : 2;
  size_t k = 0, found = 0;
  const std::vector<Operand>& all = c.i.operands;
  auto take_predicates = [&] {
    while (k < all.size() && all[k].kind == Operand::kPredicate && found < most &&
           !((n == "VOTE" || n == "VOTEU") && k + 1 == all.size()))
      c.predicates[found++] = all[k++].index;
  };
  take_predicates();
  if (!no_register && k < all.size() && all[k].kind == Operand::kRegister) {
    c.to = all[k++].index;
    if (n != "SEL" && n != "FSEL" && n != "USEL") take_predicates();
  }
  for (; k < all.size(); ++k)
    (all[k].kind == Operand::kPredicate ? c.when : c.from).push_back(&all[k]);
}

}  // namespace

bool compute(Thread& thread, const Instruction& i) {
  const auto handler = kHandlers.find(i.name);
  Call c{thread, i};
  if (i.name == "R2P" && i.operands.size() > 2) {
    c.from = {&i.operands[1], &i.operands[2]};
  } else {
    assign_roles(c);
  }
  if (handler == kHandlers.end()) {
    guess_word(c);
    return false;
  }
  handler->second(c);
  return true;
}

}  // namespace rmt::gpu_model
