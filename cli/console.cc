#include "cli/console.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::cli {

Console Console::Standard() {
  const char* no_color = std::getenv("NO_COLOR");
  const bool plain = no_color != nullptr && no_color[0] != '\0';
  return Console{.out = std::cout,
                 .err = std::cerr,
                 .out_is_terminal = isatty(STDOUT_FILENO) != 0 && !plain,
                 .err_is_terminal = isatty(STDERR_FILENO) != 0 && !plain};
}

std::string Console::Red(std::string_view text) const {
  return err_is_terminal ? absl::StrCat("\033[1;31m", ToAbsl(text), "\033[0m") : std::string(text);
}

std::string Console::Dim(std::string_view text) const {
  return err_is_terminal ? absl::StrCat("\033[2m", ToAbsl(text), "\033[0m") : std::string(text);
}

int Console::Fail(const absl::Status& status) const {
  out.flush();
  err << Red("millrace:") << " " << status.message() << std::endl;
  return kExitFailed;
}

int Console::Misuse(std::string_view message) const {
  out.flush();
  err << Red("millrace:") << " " << message << std::endl;
  return kExitUsage;
}

void Console::Note(std::string_view message) const {
  out.flush();
  err << Dim(message) << std::endl;
}

std::string WithThousands(int64_t number) {
  std::string digits = std::to_string(number);
  const size_t first = number < 0 ? 1 : 0;
  for (size_t end = digits.size(); end > first + 3; end -= 3) {
    digits.insert(end - 3, 1, ',');
  }
  return digits;
}

}  // namespace millrace::cli
