// Weights as PyTorch saves them (torch.save, .pth or .pt), read without PyTorch. Since version 1.6
// such a file is a zip file (train/weights/zip.h):
//
//   <name>/data.pkl     a pickle (train/weights/pickle.h) of the saved object; a tensor in it is a
//                       call, with a storage, an offset, sizes and strides as its arguments
//   <name>/data/<key>   the bytes of each storage; several tensors may share one
//   <name>/byteorder    little or big (since 2.1)
//
// Element (i, j, ...) of a tensor is element offset + i stride_0 + j stride_1 + ... of its storage.
// Source: torch/serialization.py, torch/_utils.py.
#pragma once
#include "train/weights/safetensors.h"

namespace rmt::train {

// The tensors of one state_dict in the file: of the checkpoint's entry `key`, or, when that is
// empty, of the first of "model_ema", "model", "state_dict" that is a dictionary with something in
// it, or of the saved object itself. Dictionaries inside it give dotted names; "module." before all
// names is taken away. Every tensor is contiguous and owns its bytes. f16 and bf16 become f32, int8
// and int16 become i32, truth values u8. The metadata say in "taken_from" which entry it was, and
// in "beside" which others there are. A saved object that is one tensor gets the name "tensor", and
// the metadata say in "stored_as" what its type is in the file: "torch float16". Error for whatever
// is not whole, sound and known.
Archive read_pth(const std::string& path, const std::string& key = "");

// Reads a .pth or a safetensors file; the file's first bytes say which it is.
Archive read_weights(const std::string& path, const std::string& key = "");

}  // namespace rmt::train
