# oneDNN's threads are OpenMP's; engine/onednn.cc sets their number.
target_link_libraries(metier_engine PRIVATE gomp)
