#include "core/xml.h"

#include <gtest/gtest.h>

namespace rmt::test {

TEST(Xml, TextIsContentAndNothingElse) {
  EXPECT_EQ(xml_text("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; 'd'");
  EXPECT_EQ(xml_text("\x01\n\x7f"), "???");
  EXPECT_EQ(xml_text("kätzchen 猫 😀"), "kätzchen 猫 😀");
  EXPECT_EQ(xml_text("\xc3"), "?") << "cut in the middle of a character";
  EXPECT_EQ(xml_text("\xc3("), "?(");
  EXPECT_EQ(xml_text("\xc2\x85 \xc2\xa0 \xef\xbf\xbe"), "?? \xc2\xa0 ???")
      << "control; no character";
  EXPECT_EQ(xml_text("\xc0\xaf \xe0\x80\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xef\xbf\xbf"),
            "?? ??? ??? ???? ???")
      << "too long; surrogate; too high; no character";
}

}  // namespace rmt::test
