// The transport of a mount: /dev/fuse, the mount itself, and the threads that read requests.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/failure.h"
#include "fuse/operations.h"
#include "fuse/transport.h"

struct fuse_session;

namespace tvix::fuse {

class Device : public Transport {
 public:
  // `ended` is called once, from a thread of the device, when the mount is gone, whoever unmounted it.
  Device(std::shared_ptr<State> state, unsigned threads, std::function<void()> ended);
  ~Device() override;

  // Mounts and starts to serve.
  Failure mount(const std::string& mountpoint, bool allow_other);
  // Unmounts if that was not done.
  void stop() override;

 private:
  void raise_read_ahead() const;
  void serve();
  void assist();
  bool next(void* buffer, int timeout_ms);
  void note_load(const void* buffer);

  const std::shared_ptr<State> state_;
  std::unique_ptr<Channel> channel_;
  const unsigned limit_;
  const std::function<void()> ended_;
  std::string mountpoint_;
  std::string device_;  // of the mount
  fuse_session* session_ = nullptr;
  int stop_event_ = -1;
  std::atomic<bool> stopping_ = false;
  std::mutex stop_mutex_;
  std::mutex mutex_;
  std::condition_variable load_;
  unsigned wanted_ = 0;  // assistants that should wake up
  std::vector<std::thread> threads_;
};

// The device number, `major:minor`, of the mount of ours on top at an absolute path; empty when there is none.
// Asks the kernel's table of mounts and touches no mount.
std::string device_at(const std::string& mountpoint);

// Unmounts a directory, also while it is in use: it goes out of sight at once and ends with its last user.
Failure detach(const std::string& mountpoint);

}  // namespace tvix::fuse
