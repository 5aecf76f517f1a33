# Only this file depends on the version: a new one recompiles nothing else.
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/base/version.cc PROPERTIES COMPILE_DEFINITIONS
                            METIER_VERSION="${PROJECT_VERSION}")
