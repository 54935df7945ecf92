#include "tests/chaos/file_reader.h"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace millrace::chaos {
void FileReader::Poll(const Take& take) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.front() == '.' || name.front() == '_') {
      continue;
    }
    auto [found, added] = files_.try_emplace(name);
    File& file = found->second;
    if (added) {
      file.number = static_cast<int>(files_.size());
    }
    std::error_code gone;
    const uint64_t size = entry->file_size(gone);
    if (gone || size == file.size) {
      continue;
    }
    file.shrunk |= size < file.size;
    file.size = size;
    ReadNew(name, &file, take);
  }
}

void FileReader::ReadNew(const std::string& name, File* file, const Take& take) {
  if (file->size <= file->read) {
    return;
  }
  std::string text(file->size - file->read, '\0');
  std::ifstream in(directory_ + "/" + name, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(file->read));
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    take(file->number, std::string_view(text).substr(begin, end - begin), name);
    begin = end + 1;
  }
  file->read += begin;
}

std::string FileReader::Torn() const {
  std::string names;
  for (const auto& [name, file] : files_) {
    if (file.shrunk || file.read != file.size) {
      names += (names.empty() ? "" : ", ") + name;
    }
  }
  return names;
}

}  // namespace millrace::chaos
