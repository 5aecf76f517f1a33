# oneDNN's threads are OpenMP's; engine/onednn.cc sets their number. It stays out of what is compiled at once: programs that do
# not refer to it are linked without it.
target_link_libraries(metier_engine PRIVATE gomp)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/engine/onednn.cc PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
