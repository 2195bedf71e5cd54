#include "core/error.h"

#include <gtest/gtest.h>

using namespace rmt;

TEST(Printable, OrdinaryTextStays) {
  for (const char* text : {"", "photo 1.jpg", "C:\\photos\\a\"b'.jpg", "Gänse/été", "写真.png",
                           "\U0001F600", "\u00a0\u07ff\u0800\ud7fb\ue000\uffff\U0010FFFF"})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, ControlCharactersAreWrittenOut) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable("a\nb\tc\rd\x7f"), "a\\nb\\tc\\rd\\x7f");
  EXPECT_EQ(printable(std::string("\0\x01", 2)), "\\x00\\x01");
  EXPECT_EQ(printable("\u0085\u009b31m"), "\\u0085\\u009b31m");  // C1, in UTF-8
  EXPECT_EQ(printable("gpj.\u202etxt \u2028\u2066"), "gpj.\\u202etxt \\u2028\\u2066");
  EXPECT_EQ(printable("a\nb\x1b", true), "a\nb\\x1b");
}

// Each of RFC 3629's limits from both sides; what is none becomes its bytes, one by one.
TEST(Printable, BytesThatAreNotUtf8AreWrittenOut) {
  EXPECT_EQ(printable("\xff"
                      "a"),
            "\\xffa");
  EXPECT_EQ(printable("\x9b"), "\\x9b");                             // C1, as one byte
  EXPECT_EQ(printable("\xc0\x80\xc1\xbf"), "\\xc0\\x80\\xc1\\xbf");  // longer than they must be
  EXPECT_EQ(printable("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf");
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // U+110000
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");                    // cut short
  EXPECT_EQ(printable("\xe2\x82g"), "\\xe2\\x82g");
  EXPECT_EQ(utf8_length(""), 0u);
  EXPECT_EQ(utf8_length("\xed\x9f\xbf"), 3u);
  EXPECT_EQ(utf8_length("\xf4\x8f\xbf\xbf"), 4u);
}

TEST(Printable, AnErrorIsPrintable) {
  const std::string name = "a\x1b]0;title\x07.jpg";
  try {
    CHECK(false, name, ": no image\n  expected one");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "a\\x1b]0;title\\x07.jpg: no image\n  expected one");
  }
}
