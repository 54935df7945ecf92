// What a command writes to: standard output for data, standard error for everything else, with
// colour and progress only where a person is looking. Also the command line's exit codes.
// Thread-compatible; the streams are borrowed.
#ifndef MILLRACE_CLI_CONSOLE_H_
#define MILLRACE_CLI_CONSOLE_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace millrace::cli {

// The whole process's result. Wrong usage is what --help would have prevented.
enum ExitCode : int { kExitOk = 0, kExitFailed = 1, kExitUsage = 2 };

enum class OutputFormat { kTable, kJson };

struct Console {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;

  // The process's own streams.
  static Console Standard();

  // `text` for stderr, in the colour of errors or dimmed; unchanged off a terminal.
  std::string Red(std::string_view text) const;
  std::string Dim(std::string_view text) const;

  // "millrace: <message>" on stderr; returns kExitFailed so that commands can return it.
  int Fail(const absl::Status& status) const;
  // The same for usage errors; returns kExitUsage.
  int Misuse(std::string_view message) const;
  // A line for the person, not data.
  void Note(std::string_view message) const;
};

// 1234567 as "1,234,567".
std::string WithThousands(int64_t number);

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_CONSOLE_H_
