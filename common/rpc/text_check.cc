#include "common/rpc/text_check.h"

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace millrace {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMostShownBytes = 200;

absl::Status CheckText(const FieldDescriptor& field, const std::string& text) {
  const size_t bad = FindInvalidUtf8(text);
  return bad == std::string::npos ? absl::OkStatus()
                                  : absl::InvalidArgumentError(absl::StrCat(
                                        field.name(), " '", Excerpt(text, kMostShownBytes),
                                        "' is not UTF-8: byte ", bad + 1));
}

}  // namespace

absl::Status CheckTexts(const Message& message) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  std::string scratch;
  for (const FieldDescriptor* field : fields) {
    const bool is_text = field->type() == FieldDescriptor::TYPE_STRING;
    const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!is_text && !is_message) {
      continue;
    }
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (is_text) {
        RETURN_IF_ERROR(CheckText(
            *field, field->is_repeated()
                        ? reflection.GetRepeatedStringReference(message, field, i, &scratch)
                        : reflection.GetStringReference(message, field, &scratch)));
      } else {
        RETURN_IF_ERROR(CheckTexts(field->is_repeated()
                                       ? reflection.GetRepeatedMessage(message, field, i)
                                       : reflection.GetMessage(message, field)));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace
