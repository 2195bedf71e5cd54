// Text inside XML, for the pictures (SVG) that programs draw.
#pragma once
#include <string>

namespace rmt {

// Text as the content of an XML element: & < > " escaped; what is not UTF-8, and control
// characters, become '?'.
std::string xml_text(const std::string& text);

}  // namespace rmt
