#include "data/sets/tar.h"

#include <cstring>

#include "core/random.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// An archive in the making. Every header can be changed before its checksum is set.
struct Tar {
  std::vector<uint8_t> bytes;
  using Header = std::array<uint8_t, 512>;

  static void set_checksum(Header& h) {
    std::memset(&h[148], ' ', 8);
    unsigned sum = 0;
    for (uint8_t c : h) sum += c;
    std::snprintf(reinterpret_cast<char*>(&h[148]), 8, "%06o", sum);
  }
  Tar& add(
      const std::string& name, const std::vector<uint8_t>& content, char type = '0',
      const std::function<void(Header&)>& change = [](Header&) {}) {
    Header h{};
    std::memcpy(h.data(), name.data(), std::min<size_t>(name.size(), 100));
    std::snprintf(reinterpret_cast<char*>(&h[100]), 8, "0000644");
    std::snprintf(reinterpret_cast<char*>(&h[124]), 12, "%011zo", content.size());
    h[156] = uint8_t(type);
    std::memcpy(&h[257], "ustar\00000", 8);
    change(h);
    set_checksum(h);
    return raw(h.data(), h.size()).raw(content.data(), content.size()).pad();
  }
  Tar& add(const std::string& name, const std::string& content, char type = '0') {
    return add(name, std::vector<uint8_t>(content.begin(), content.end()), type);
  }
  Tar& raw(const uint8_t* p, size_t n) { return bytes.insert(bytes.end(), p, p + n), *this; }
  Tar& pad() { return bytes.resize((bytes.size() + 511) / 512 * 512), *this; }
  std::vector<uint8_t> end() {
    bytes.resize(bytes.size() + 1024);
    return bytes;
  }
};

std::vector<uint8_t> jpeg(int variant) { return encode_jpeg(test_image(12, 10, variant), 80); }

std::vector<std::string> members(const std::string& path) {
  std::vector<std::string> names;
  read_tar(InputFile(path),
           [&](const TarMember& m) { names.push_back(str(m.name, " ", m.offset, " ", m.bytes)); });
  return names;
}

}  // namespace

TEST(TarShards, ChecksumIsOfNamesSizesAndLabels) {
  TemporaryFolder folder;
  auto sum = [&](const std::string& key, int variant, const std::string& label) {
    folder.write("train-0.tar", Tar()
                                    .add("a.jpg", jpeg(1))
                                    .add("a.cls", "1")
                                    .add(key + ".jpg", jpeg(variant))
                                    .add(key + ".cls", label)
                                    .end());
    return checksum(TarShards(folder.path(), "train"));
  };
  const std::string before = sum("b", 2, "0");
  EXPECT_EQ(sum("b", 2, "0"), before);
  EXPECT_NE(sum("c", 2, "0"), before);
  EXPECT_NE(sum("b", 2, "1"), before);
  ASSERT_NE(jpeg(2).size(), jpeg(5).size());
  EXPECT_NE(sum("b", 5, "0"), before);
}

TEST(TarShards, ReadsSamplesOfAllArchives) {
  TemporaryFolder folder;
  folder.write("train-000001.tar", Tar().add("a.png", jpeg(3)).add("a.cls", "2\n").end());
  folder.write("train-000000.tar", Tar()
                                       .add("./", "", '5')
                                       .add("./x/0001.jpg", jpeg(0))
                                       .add("./x/0001.cls", "1")
                                       .add("./x/0001.json", "{}")
                                       .add("./x/0002.cls", "0")
                                       .add("./x/0002.seg.jpg", jpeg(5))
                                       .add("./x/0002.jpeg", jpeg(1))
                                       .add("readme.txt", "about")
                                       .end());
  folder.write("val-000000.tar", Tar().add("v.jpg", jpeg(4)).add("v.cls", "0").end());
  const auto data = open_dataset(folder.path(), "train");
  ASSERT_EQ(data->size(), 3);
  EXPECT_EQ(data->name(0), folder / "train-000000.tar:./x/0001.jpg");
  EXPECT_EQ(data->name(1), folder / "train-000000.tar:./x/0002.jpeg");
  EXPECT_EQ(data->name(2), folder / "train-000001.tar:a.png");
  EXPECT_EQ(data->classes(), (std::vector<std::string>{"0", "1", "2"}));
  const int64_t labels[] = {1, 0, 2};
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(data->label(i), labels[i]);
  EXPECT_EQ(data->bytes(1), jpeg(1));
  EXPECT_EQ(data->image(2).width, 12);
  EXPECT_EQ(TarShards(folder.path(), "val", data->classes()).classes().size(), 3u);
}

TEST(TarShards, ClassesComeFromTheirFile) {
  TemporaryFolder folder;
  folder.write("train/000.tar", Tar().add("a.jpg", jpeg(0)).add("a.cls", "1").end());
  folder.write("train/classes.txt", "cat\r\ndog\n");
  EXPECT_EQ(open_dataset(folder.path(), "train")->classes(),
            (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(TarShards(folder.path(), "train", {"dog", "cow", "cat"}).label(0), 0);
  EXPECT_TRUE(
      contains(error_of([&] { TarShards(folder.path(), "train", {"dog"}); }), "class cat of"));
  folder.write("train/classes.txt", "cat\n");
  EXPECT_TRUE(contains(error_of([&] { TarShards(folder.path(), "train"); }),
                       "names 1 classes, and there is a label 1"));
  folder.write("train/classes.txt", "cat\ncat\n");
  EXPECT_TRUE(contains(error_of([&] { TarShards(folder.path(), "train"); }),
                       "line 2 is empty or there before"));
}

TEST(Tar, LongNamesAndLargeSizes) {
  TemporaryFolder folder;
  const std::string far(150, 'f'), pax = "path=" + far + "/pax.jpg\n";
  std::string record = str(pax.size() + 4, " ", pax);  // "172 path=...": three digits and a blank
  auto prefix = [&](Tar::Header& h) { std::memcpy(&h[345], far.data(), 150); };
  auto gnu_size = [](Tar::Header& h) {
    std::memset(&h[124], 0, 12);
    h[124] = 0x80, h[135] = 5;
  };
  const std::string path = folder.write(
      "a.tar",
      Tar()
          .add("././@LongLink", far + "/gnu.jpg" + std::string(1, '\0'), 'L')
          .add("short", "12345")
          .add("pax_global_header", "13 comment=x\n", 'g')
          .add("PaxHeaders/x", record, 'x')
          .add("short", "1")
          .add("prefix.jpg", {}, '0', prefix)
          .add("link", "", '2')
          .add("size", {'1', '2', '3', '4', '5'}, '0', gnu_size)
          .add("PaxHeaders/y", "9 size=3\n", 'x')
          .add("y", {'1', '2', '3'}, '0', [](Tar::Header& h) { std::memset(&h[124], '0', 11); })
          .add("last", "")
          .end());
  EXPECT_EQ(members(path),
            (std::vector<std::string>{far + "/gnu.jpg 1536 5", far + "/pax.jpg 4608 1",
                                      far + "/prefix.jpg 5632 0", "size 6656 5", "y 8704 3",
                                      "last 9728 0"}));
}

TEST(Tar, HostileHeadersAreRefused) {
  TemporaryFolder folder;
  auto refused = [&](const std::vector<uint8_t>& bytes, const std::string& expected) {
    const std::string path = folder.write("a.tar", bytes),
                      message = error_of([&] { members(path); });
    EXPECT_TRUE(contains(message, path));
    EXPECT_TRUE(contains(message, expected));
  };
  auto with = [](const std::function<void(Tar::Header&)>& change, char type = '0') {
    return Tar().add("a.jpg", {}, type, change).end();
  };
  auto size_field = [](const char* text) {
    return [text](Tar::Header& h) { std::memcpy(&h[124], text, 12); };
  };
  refused({}, "ends without its closing block");
  refused(std::vector<uint8_t>(512, 'x'), "no header of a member");
  refused(Tar().add("a.jpg", "1").bytes, "ends without its closing block");
  refused(with(size_field("77777777777")), "claims 8589934591 bytes, and 1024 follow");
  refused(with(size_field("00000002001")), "claims 1025 bytes, and 1024 follow");
  refused(with(size_field("-1         ")), "claims no number of bytes");
  refused(with(size_field("           ")), "claims no number of bytes");
  refused(with(size_field("12x45678901")), "claims no number of bytes");
  refused(with([](Tar::Header& h) { std::memset(&h[124], 0xFF, 12); }),
          "claims no number of bytes");  // GNU's -1
  refused(with([](Tar::Header& h) { h[124] = 0x80, std::memset(&h[125], 0xFF, 11); }),
          "claims no number of bytes");
  refused(with([](Tar::Header& h) {
            h[124] = 0x80, std::memset(&h[125], 0, 11), h[128] = 0x7F, h[129] = 0xFF;
          }),
          "follow; the archive was cut short");
  refused(with([](Tar::Header& h) { h[0] = 0; }), "name is empty or contains control characters");
  refused(with([](Tar::Header& h) { h[0] = 27; }), "name is empty or contains control characters");
  refused(with([](Tar::Header&) {}, 'S'), "type 'S', which is not understood");
  refused(Tar().add("x", std::string(70000, 'a'), 'L').add("a.jpg", "").end(),
          "an extension of 70000 bytes");
  for (const char* pax : {"x", "5", "0 path=a\n", "99999999999999999999 path=a\n", "12 path=abcd",
                          "99 path=a\n", "2 \n", "10 path=ab"})
    refused(Tar().add("x", std::string(pax), 'x').add("a.jpg", "").end(), "broken pax header");
  for (const char* pax :
       {"9 size=x\n", "9 size=-\n", "11 size=-1\n", "28 size=9999999999999999999\n"})
    refused(Tar().add("x", std::string(pax), 'x').add("a.jpg", "").end(),
            "broken size in its pax header");
  refused(Tar().add("x", "13 size=9999\n", 'x').add("a.jpg", "").end(), "claims 9999 bytes");
}

TEST(Tar, EveryFlippedHeaderBitAndEveryTruncationIsRefused) {
  TemporaryFolder folder;
  const std::vector<uint8_t> whole =
      Tar().add("a.jpg", "123").add("a.cls", "7").bytes;  // 2048 bytes, and 1024 that close it
  std::vector<uint8_t> closed = whole;
  closed.resize(closed.size() + 1024);
  const std::string path = folder.write("a.tar", closed);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  auto put = [&](size_t at, uint8_t byte) {
    file.seekp(std::streamoff(at)).put(char(byte)).flush();
  };
  ASSERT_EQ(members(path).size(), 2u);
  for (size_t at = 0; at < 512; ++at) {
    put(at, closed[at] ^ uint8_t(1 << at % 8));
    // In the checksum itself, a blank before its digits means what a zero does, and a NUL behind
    // them what a blank does.
    if (at != 148 && (at < 154 || at >= 156)) {
      EXPECT_TRUE(contains(error_of([&] { members(path); }), path)) << at;
    }
    put(at, closed[at]);
  }
  for (size_t n = whole.size() + 511; n-- > 0;) {
    std::filesystem::resize_file(path, n);
    EXPECT_TRUE(contains(error_of([&] { members(path); }), path)) << n << " bytes";
  }
}

TEST(TarShards, BadSamplesAreNamed) {
  TemporaryFolder folder;
  auto refused = [&](Tar tar, const std::string& expected) {
    folder.write("train-0.tar", tar.end());
    EXPECT_TRUE(contains(error_of([&] { TarShards(folder.path(), "train"); }),
                         folder / "train-0.tar" + expected));
  };
  refused(Tar().add("a.jpg", jpeg(0)), ":a.jpg: there is no a.cls beside it");
  refused(Tar().add("a.jpg", jpeg(0)).add("b.cls", "1"), ":a.jpg: there is no a.cls");
  refused(Tar().add("a.cls", "1"), ":a.cls: there is no image beside it");
  refused(Tar()
              .add("a.jpg", jpeg(0))
              .add("a.cls", "1")
              .add("b.jpg", jpeg(1))
              .add("b.cls", "1")
              .add("a.jpg", jpeg(2)),
          ":a.jpg: its key a came before");
  refused(Tar().add("a.jpg", jpeg(0)).add("a.jpg", jpeg(0)).add("a.cls", "1"),
          ":a.jpg: is the second image of its sample");
  refused(Tar().add("a.jpg", jpeg(0)).add("a.cls", "1").add("a.cls", "1"),
          ":a.cls: is the second label");
  for (const char* label : {"x", "-1", "1 2", "1048576", "99999999999999999999", " 1", "\n"})
    refused(Tar().add("a.jpg", jpeg(0)).add("a.cls", std::string(label)),
            ":a.cls: is no label in decimal");
  refused(Tar().add("a.jpg", jpeg(0)).add("a.cls", ""), ":a.cls: has 0 bytes");
  refused(Tar().add("a.jpg", jpeg(0)).add("a.cls", std::string(33, '1')), ":a.cls: has 33 bytes");
  folder.write("train-0.tar", Tar().add("readme.txt", "").end());
  EXPECT_TRUE(contains(error_of([&] { TarShards(folder.path(), "train"); }), "hold no samples"));
  folder.write("train-0.tar", Tar().add("a.jpg", "no image").add("a.cls", "0").end());
  TarShards data(folder.path(), "train");
  EXPECT_TRUE(error_of([&] { data.image(0); }).starts_with(data.name(0)));
  std::filesystem::resize_file(folder / "train-0.tar", 512);
  EXPECT_TRUE(error_of([&] { data.image(0); }).starts_with(data.name(0)));
}
