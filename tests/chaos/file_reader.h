// Reads what a file sink publishes: the lines of all files of a directory that have their final
// names. Thread-compatible.
#ifndef MILLRACE_TESTS_CHAOS_FILE_READER_H_
#define MILLRACE_TESTS_CHAOS_FILE_READER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace millrace::chaos {

class FileReader {
 public:
  // A line without its end, the number of its file, and the file's name.
  using Take = std::function<void(int file, std::string_view line, std::string_view name)>;

  // The directory may come later. Names that begin with '.' or '_' are not final.
  explicit FileReader(std::string directory) : directory_(std::move(directory)) {}

  // Hands over the lines that are new.
  void Poll(const Take& take);

  // Names of files that end in the middle of a line, or have become shorter: neither may ever be
  // under a final name.
  std::string Torn() const;

 private:
  struct File {
    int number = 0;
    uint64_t read = 0;  // bytes, up to the end of a line
    uint64_t size = 0;
    bool shrunk = false;
  };

  void ReadNew(const std::string& name, File* file, const Take& take);

  const std::string directory_;
  std::map<std::string, File> files_;
};

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_FILE_READER_H_
