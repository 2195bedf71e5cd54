// Weights as PyTorch saves them (torch.save, .pth or .pt), read without PyTorch. Since version 1.6
// such a file is a zip file (train/weights/zip.h):
//   <name>/data.pkl     a pickle (train/weights/pickle.h) of the saved object, in which a tensor is
//   a call: storage, offset, sizes, strides <name>/data/<key>   the bytes of each storage; several
//   tensors may share one <name>/byteorder    little or big (since 2.1)
// Source: torch/serialization.py, torch/_utils.py.
#pragma once
#include "train/weights/safetensors.h"

namespace rmt::train {

// The tensors of one state_dict in the file: of the checkpoint's entry `key`, or, when that is
// empty, of the first of "model_ema", "model", "state_dict" that is a dictionary with something in
// it, or of the saved object itself. Dictionaries inside it give dotted names; "module." before all
// names is taken away. Every tensor is contiguous and owns its bytes. f16 and bf16 become f32, 8
// and 16 bit integers i32, truth values u8. metadata "taken_from" says which entry it was, "beside"
// which others there are. Throws Error for whatever is not whole, sound and known.
Archive read_pth(const std::string& path, const std::string& key = "");

// A .pth or a safetensors file, whichever the bytes say.
Archive read_weights(const std::string& path, const std::string& key = "");

}  // namespace rmt::train
