genericBuild() {
  for phase in unpack build install; do "${phase}Phase"; done
}
