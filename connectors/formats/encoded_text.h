// Memory that encoded records point into. It grows in blocks that never move, and is handed over to
// EncodedRecords as owners. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_FORMATS_ENCODED_TEXT_H_
#define MILLRACE_CONNECTORS_FORMATS_ENCODED_TEXT_H_

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "connectors/format.h"

namespace millrace {

class EncodedText {
 public:
  // A copy of `text` that lives as long as the owners. Its data() is never null.
  std::string_view Copy(std::string_view text) {
    if (text.size() > left_ || free_ == nullptr) {
      left_ = std::max<size_t>(kBlockBytes, text.size());
      std::shared_ptr<char[]> block(new char[left_]);
      free_ = block.get();
      blocks_.push_back(std::move(block));
    }
    char* begin = free_;
    if (!text.empty()) {
      std::memcpy(begin, text.data(), text.size());
    }
    free_ += text.size();
    left_ -= text.size();
    return {begin, text.size()};
  }

  // Hands over the blocks; the next Copy begins a new one.
  std::vector<TextOwner> TakeOwners() {
    free_ = nullptr;
    left_ = 0;
    return std::move(blocks_);
  }

 private:
  static constexpr size_t kBlockBytes = 64 << 10;

  std::vector<TextOwner> blocks_;
  char* free_ = nullptr;
  size_t left_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_ENCODED_TEXT_H_
