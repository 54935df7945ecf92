#include "common/rpc/stream_proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdint>

#include "common/base/check.h"
#include "common/base/little_endian.h"

namespace millrace {
namespace {

constexpr size_t kSecretBytes = 32;

// Appends a part with its length, so that different lists of parts never give the same text.
void AppendPart(std::string_view part, std::string* text) {
  AppendLittleEndian<uint64_t>(part.size(), text);
  text->append(part);
}

std::string Hmac(std::string_view key, std::string_view text) {
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned int length = 0;
  const unsigned char* const made =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(),
           reinterpret_cast<unsigned char*>(digest.data()), &length);
  MILLRACE_CHECK(made != nullptr) << "no HMAC-SHA-256 in this OpenSSL";
  digest.resize(length);
  return digest;
}

}  // namespace

std::string NewStreamSecret() {
  std::string secret(kSecretBytes, '\0');
  const int filled =
      RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(secret.size()));
  MILLRACE_CHECK(filled == 1) << "the system gives no random bytes";
  return secret;
}

std::string StreamKey(std::string_view secret, const JobId& job, Epoch epoch, std::string_view from,
                      std::string_view to) {
  std::string text;
  AppendPart("key", &text);
  AppendPart(job.value(), &text);
  AppendLittleEndian<int64_t>(epoch.value(), &text);
  AppendPart(from, &text);
  AppendPart(to, &text);
  return Hmac(secret, text);
}

std::string StreamProof(std::string_view key, std::string_view nonce, const JobId& job,
                        Epoch epoch) {
  std::string text;
  AppendPart("proof", &text);
  AppendPart(nonce, &text);
  AppendPart(job.value(), &text);
  AppendLittleEndian<int64_t>(epoch.value(), &text);
  return Hmac(key, text);
}

bool SameProof(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace millrace
