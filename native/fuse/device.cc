// Serving /dev/fuse: one thread reads requests; assistants join it while large reads pile up.
//
// One thread serves a single client best, since waking an idle CPU costs more than a request; a second reader of the
// device pays off when reads of many pages wait, whose bytes have to be hashed and copied. Threads never block in
// read(2): they poll the device together with an event by which they are told to stop.
#include "fuse/device.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "fuse/operations.h"

extern char** environ;

namespace tvix::fuse {

namespace {

constexpr int kAssistMs = 20;
constexpr uint32_t kLargeRead = 32 * 1024;

// What libfuse said last on this thread.
thread_local std::string last_words;

void take_words(fuse_log_level level, const char* format, va_list arguments) {
  if (level > FUSE_LOG_WARNING) return;
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  last_words += line;
}

std::string words() {
  std::string out = std::exchange(last_words, {});
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

// The kernel writes blanks, tabs, newlines and backslashes as three octal digits.
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Reading and writing as libfuse does it, with a word about passthrough put into the first reply.
struct Negotiation : Channel {
  using Channel::Channel;
  bool offered = false;
  std::atomic<bool> over = false;
};

ssize_t read_device(int fd, void* buffer, size_t size, void* channel) {
  const ssize_t got = read(fd, buffer, size);
  auto* own = static_cast<Negotiation*>(static_cast<Channel*>(channel));
  if (!own->over && got > 0) own->offered = own->state.passthrough.offered(buffer, static_cast<size_t>(got));
  return got;
}

ssize_t write_device(int fd, iovec* parts, int count, void* channel) {
  auto* own = static_cast<Negotiation*>(static_cast<Channel*>(channel));
  if (own->over) return writev(fd, parts, count);
  if (own->offered) own->state.passthrough.accept(parts, count);
  own->over = true;
  const ssize_t written = writev(fd, parts, count);
  own->state.passthrough.attach(fd, own->offered);
  return written;
}

}  // namespace

Device::Device(std::shared_ptr<State> state, unsigned threads, std::function<void()> ended)
    : state_(std::move(state)), limit_(threads < 1 ? 1 : threads), ended_(std::move(ended)) {
  channel_ = state_->passthrough.wanted() ? std::make_unique<Negotiation>(*state_) : std::make_unique<Channel>(*state_);
}

Device::~Device() { stop(); }

Failure Device::mount(const std::string& mountpoint, bool allow_other) {
  if (Failure failure = state_->passthrough.prepare()) return failure;
  fuse_set_log_func(take_words);
  words();
  std::string options = "fsname=tvix,subtype=tvix,ro,nosuid,nodev,default_permissions";
  if (allow_other) options += ",allow_other";
  char* argv[] = {const_cast<char*>("tvix"), const_cast<char*>("-o"), options.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, argv);
  session_ = fuse_session_new(&args, &operations(), sizeof(fuse_lowlevel_ops), channel_.get());
  fuse_opt_free_args(&args);
  if (!session_) return {"ERR_MOUNT_FAILED", "libfuse cannot start: " + words()};
  stop_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_event_ < 0 || fuse_session_mount(session_, mountpoint.c_str()) != 0) {
    const std::string why = words();
    fuse_session_destroy(session_);
    session_ = nullptr;
    return {"ERR_MOUNT_FAILED",
            "cannot mount on " + quoted(mountpoint) + ": " + (why.empty() ? "fusermount3 refused" : why)};
  }
  mountpoint_ = mountpoint;
  device_ = device_at(mountpoint);
  const int fd = fuse_session_fd(session_);
  if (state_->passthrough.wanted()) {
    fuse_custom_io io{};
    io.read = read_device;
    io.writev = write_device;
    if (fuse_session_custom_io(session_, &io, fd) != 0) {
      (void)detach(mountpoint);
      fuse_session_destroy(session_);
      session_ = nullptr;
      return {"ERR_MOUNT_FAILED", "libfuse takes no reading and writing of ours: " + words()};
    }
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (!device_.empty()) raise_read_ahead();
  threads_.emplace_back([this] { serve(); });
  for (unsigned i = 1; i < limit_; i++) threads_.emplace_back([this] { assist(); });
  return {};
}

// The kernel reads ahead 128 KiB whatever a server asks for; root may raise that to a whole request.
void Device::raise_read_ahead() const {
  std::ofstream("/sys/class/bdi/" + device_ + "/read_ahead_kb") << kMaxRead / 1024;
}

// Serves one request; false when there is none within the time, or never will be.
bool Device::next(void* opaque, int timeout_ms) {
  auto* buffer = static_cast<fuse_buf*>(opaque);
  pollfd watched[2] = {{fuse_session_fd(session_), POLLIN, 0}, {stop_event_, POLLIN, 0}};
  const int ready = poll(watched, 2, timeout_ms);
  if (ready <= 0 || watched[1].revents != 0) return ready < 0 && errno == EINTR;
  const int size = fuse_session_receive_buf(session_, buffer);
  // Another thread was faster, or the caller gave up before the request was read.
  if (size == -EAGAIN || size == -EINTR || size == -ENOENT) return true;
  if (size <= 0) {
    fuse_session_exit(session_);
    return false;
  }
  if (limit_ > 1) note_load(buffer->mem);
  fuse_session_process_buf(session_, buffer);
  return true;
}

// Wakes an assistant when a large read came in and more is waiting behind it.
void Device::note_load(const void* bytes) {
  fuse_in_header header;
  std::memcpy(&header, bytes, sizeof header);
  if (header.opcode != FUSE_READ) return;
  fuse_read_in read;
  std::memcpy(&read, static_cast<const char*>(bytes) + sizeof header, sizeof read);
  if (read.size < kLargeRead) return;
  pollfd device{fuse_session_fd(session_), POLLIN, 0};
  if (poll(&device, 1, 0) <= 0) return;
  std::lock_guard lock(mutex_);
  if (wanted_ == 0) {
    wanted_ = 1;
    load_.notify_one();
  }
}

void Device::serve() {
  fuse_buf buffer{};
  while (!stopping_ && !fuse_session_exited(session_)) {
    if (!next(&buffer, -1) && !stopping_) break;
  }
  std::free(buffer.mem);
  // Nobody will read their answers.
  state_->misses.close(ENODEV);
  ended_();
}

void Device::assist() {
  fuse_buf buffer{};
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    load_.wait(lock, [this] { return wanted_ > 0 || stopping_; });
    if (stopping_) break;
    wanted_ = 0;
    lock.unlock();
    while (!stopping_ && !fuse_session_exited(session_) && next(&buffer, kAssistMs)) {
    }
    lock.lock();
  }
  std::free(buffer.mem);
}

void Device::stop() {
  // From the event loop's pool, from the end of the process, from both.
  std::lock_guard once(stop_mutex_);
  if (!session_) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  load_.notify_all();
  const uint64_t one = 1;
  if (write(stop_event_, &one, sizeof one) < 0) std::abort();  // an eventfd takes 2^64-2 of them
  // Out of sight first, unless someone else's mount is there now. What waits is then failed, and closing the device
  // ends the connection for users who are still inside.
  if (!fuse_session_exited(session_) && device_at(mountpoint_) == device_) (void)detach(mountpoint_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  state_->misses.close(ENODEV);
  state_->passthrough.detach();
  // Not fuse_session_unmount(), which unmounts whatever is at the mountpoint.
  fuse_session_destroy(session_);
  session_ = nullptr;
  close(stop_event_);
}

std::string device_at(const std::string& mountpoint) {
  std::ifstream table("/proc/self/mountinfo");
  std::string found;
  // Later lines lie on top of earlier ones.
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    const size_t type = line.find(" - ");
    if (unescape(point) != mountpoint || type == line.npos) continue;
    found = line.compare(type + 3, 10, "fuse.tvix ") == 0 ? device : "";
  }
  return found;
}

Failure detach(const std::string& mountpoint) {
  if (umount2(mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  if (errno != EPERM) {
    return {"ERR_MOUNT_UNMOUNT", "cannot unmount " + quoted(mountpoint) + ": " + errno_text(errno)};
  }
  // Users may unmount what is theirs through libfuse's helper.
  std::string path = mountpoint;
  char* argv[] = {const_cast<char*>("fusermount3"),
                  const_cast<char*>("-u"),
                  const_cast<char*>("-z"),
                  const_cast<char*>("--"),
                  path.data(),
                  nullptr};
  pid_t child;
  int status = 0;
  if (const int error = posix_spawnp(&child, argv[0], nullptr, nullptr, argv, environ); error != 0) {
    return {"ERR_MOUNT_UNMOUNT", "cannot run fusermount3: " + errno_text(error)};
  }
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return {"ERR_MOUNT_UNMOUNT", "fusermount3 could not unmount " + quoted(mountpoint)};
}

}  // namespace tvix::fuse
