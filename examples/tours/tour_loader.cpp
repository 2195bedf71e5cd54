// Sixth tour: the loader. Images become batches while the model computes, on as many threads as one
// likes, and which pixels a batch holds depends on none of that: every sample is a function of
// (seed, epoch, place in the epoch).
//   build/bin/tour_loader      draws 200 images below build/tour
#include <cstdio>
#include <vector>

#include "data/loader.h"
#include "data/sets/drawings.h"
#include "ops/normalize.h"

using namespace rmt;

static data::LoaderOptions options(int workers) {
  data::LoaderOptions o;
  o.batch_size = 40;
  o.workers = workers;
  o.seed = 7;
  o.transform.image_size = 32;
  o.transform.augment = data::parse_augment("rand-m9-mstd0.5-inc1");
  return o;
}

// All bytes of an epoch's batches, from batch number `first` on.
static std::vector<uint8_t> epoch_bytes(data::Loader& loader, int64_t epoch, int64_t first = 0) {
  std::vector<uint8_t> bytes;
  loader.start(epoch, first);
  while (auto batch = loader.next()) {
    const std::vector<uint8_t> images = batch->images.to_vector<uint8_t>();
    bytes.insert(bytes.end(), images.begin(), images.end());
  }
  return bytes;
}

int main() {
  // 1. A data set is files with labels. This one is drawn; open_dataset() also knows folders,
  //    lists, archives and packed records.
  data::draw_dataset("build/tour", {.train_images = 200, .val_images = 50, .size = 48});
  const auto images = data::open_dataset("build/tour", "train");
  std::printf("%lld images of %zu classes; the first is %s, a %s\n",
              static_cast<long long>(images->size()), images->classes().size(),
              images->name(0).c_str(), images->classes()[images->label(0)].c_str());

  // 2. A batch is bytes, as the augmentation left them: small to keep and to send to a GPU. That it
  //    is to be mirrored is a flag. ops::normalize makes numbers of it, where the model computes.
  data::Loader loader(*images, options(1));
  loader.start(0);
  const data::Batch batch = *loader.next();
  const data::TransformOptions& t = options(1).transform;
  const Tensor x = ops::normalize(
      batch.images, batch.mirror,
      {{t.mean[0], t.mean[1], t.mean[2]}, {t.deviation[0], t.deviation[1], t.deviation[2]}},
      DType::f32);
  std::printf("a batch: images %s %s, labels %s; for the model: %s %s\n",
              str(batch.images.dtype()).c_str(), str(batch.images.shape()).c_str(),
              str(batch.labels.shape()).c_str(), str(x.dtype()).c_str(), str(x.shape()).c_str());

  // 3. The same bytes for one thread and for three, and for an epoch that is begun in its middle,
  //    as a run that was stopped there does.
  data::Loader three(*images, options(3));
  const std::vector<uint8_t> whole = epoch_bytes(loader, 1);
  const bool same = whole == epoch_bytes(three, 1);
  const std::vector<uint8_t> rest = epoch_bytes(three, 1, 2);
  const bool resumed = std::vector<uint8_t>(whole.end() - rest.size(), whole.end()) == rest;
  const bool other = whole != epoch_bytes(three, 2);
  std::printf("threads change nothing: %s; nor does a resume: %s; the next epoch is another: %s\n",
              same ? "true" : "false", resumed ? "true" : "false", other ? "true" : "false");
  return same && resumed && other ? 0 : 1;
}
