// What serves a file system's requests, wherever they come from.
#pragma once

namespace tvix::fuse {

class Transport {
 public:
  virtual ~Transport() = default;

  // Ends the service: fails what waits, joins the threads. Idempotent, from any thread.
  virtual void stop() = 0;
};

}  // namespace tvix::fuse
