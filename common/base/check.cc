#include "common/base/check.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace millrace {

CheckFailure::CheckFailure(const char* file, int line, const char* condition) {
  message_ << file << ":" << line << ": broken invariant: " << condition << " ";
}

CheckFailure::~CheckFailure() {
  std::string text = message_.str();
  std::fprintf(stderr, "%s\n", text.c_str());
  std::abort();
}

}  // namespace millrace
