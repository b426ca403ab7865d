// Misses: questions that only JavaScript can answer, asked in batches; and the requests that wait for the answers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "fuse/blob.h"
#include "fuse/directory.h"

namespace tvix::fuse {

enum class Question : uint8_t {
  kDirectory = 1,  // key: digest. Answer: a listing.
  kName = 2,       // key: a name in the root. Answer: a listing of one entry, or of none.
  kRoot = 3,       // no key. Answer: the listing of the root.
  kBlob = 4,       // key: digest, size. Answer: a blob.
  kRead = 5,       // key: digest, offset and size. Answer: bytes.
  kCopy = 6,       // key: digest, size. Answer: none, a copy was tried.
};

struct Miss {
  Question question;
  std::string key;
  uint64_t offset = 0;
  uint64_t size = 0;
  // For a blob: the digest of a directory it is in, if known. Its other files are likely to be next.
  std::string directory = {};

  // By which equal questions are known.
  std::string id() const;
};

struct Answer {
  int error = 0;  // errno
  std::shared_ptr<const Listing> listing;
  std::shared_ptr<Blob> blob;
  const uint8_t* bytes = nullptr;  // only during the call
  size_t size = 0;
};

using Waiter = std::function<void(const Answer&)>;

// Safe to share between threads.
class Misses {
 public:
  // `wake` is called, from any thread, when the list of questions stops being empty.
  explicit Misses(std::function<void()> wake);
  ~Misses();

  // Asks; a question that is under way already only gets another waiter.
  void ask(Miss miss, Waiter waiter);
  // All questions not yet taken.
  std::vector<Miss> take();
  // Answers a question. Waiters run on a thread of their own; with `now`, in this call.
  void answer(const std::string& id, const Answer& answer, bool now = false);
  // Fails all that wait, and all that will, with `error`; waiters run in this call. Then waits for those that run.
  void close(int error);
  // Questions that wait for an answer.
  size_t waiting();

 private:
  void run();

  const std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, std::vector<Waiter>> waiters_;
  std::vector<Miss> asked_;
  std::deque<std::pair<Answer, std::vector<Waiter>>> answered_;
  int closed_ = 0;
  std::thread thread_;
};

}  // namespace tvix::fuse
