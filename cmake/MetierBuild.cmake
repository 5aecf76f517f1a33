# Compiler settings and metier_module(): how every folder of src/ becomes a target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # the modules also go into the plug-in
set(CMAKE_CXX_VISIBILITY_PRESET hidden) # the program and the plug-in each hold their own copy
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# Objects are the same wherever the checkout stands: no path of a machine in messages or debug information, and a compiler
# cache that serves every checkout.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

add_library(metier_settings INTERFACE)
target_compile_options(metier_settings INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror
                       -Wno-missing-field-initializers) # with designated initialisers, what is left out is meant to be
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 sees overlapping and endless copies inside std::string (its bug 105329), also in precompiled headers.
  target_compile_options(metier_settings INTERFACE -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread
                         -Wno-array-bounds)
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    # gcc's own manual: with sanitizers this warning finds what is not there.
    target_compile_options(metier_settings INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(METIER_UNITY)
  # gcc takes a source that another one includes for a header, whose types should not hold those of an unnamed namespace.
  target_compile_options(metier_settings INTERFACE -Wno-subobject-linkage)
endif()
# The same bits on every machine of one instruction set: no contraction that the source does not spell.
target_compile_options(metier_settings INTERFACE -ffp-contract=off)
target_include_directories(metier_settings INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)

# What most units include and the compiler takes longest to read. Units do not rely on it: the fuzz preset, and whoever sets
# METIER_PCH=OFF, compile without.
set(METIER_SLOW_HEADERS "<algorithm>" "<filesystem>" "<functional>" "<map>" "<memory>" "<optional>" "<string>" "<vector>"
    "<fmt/format.h>" "${CMAKE_SOURCE_DIR}/src/base/json.h")

# metier_precompiled(TARGET OWNER headers...): the first target that names OWNER precompiles the headers, the others use its
# file. All of them must have the same compiler flags.
function(metier_precompiled target owner)
  if(NOT METIER_PCH)
    return()
  endif()
  get_property(first GLOBAL PROPERTY metier_pch_${owner})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(GLOBAL PROPERTY metier_pch_${owner} ${target})
  endif()
endfunction()

# metier_unity(TARGET): compiles its sources a dozen at a time where METIER_UNITY is on. Headers and templates, not our code,
# are what a compiler reads longest. Sources of one folder therefore do not define one name twice in their unnamed
# namespaces; folders with one file a kind do, and those stay apart.
function(metier_unity target)
  if(METIER_UNITY)
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "/model/families/|/specialist/stages/|/cli/verbs/")
    set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
  endif()
endfunction()

# metier_module(NAME PUBLIC ... PRIVATE ...): the static library metier_NAME of src/NAME/**/*.cc.
function(metier_module name)
  cmake_parse_arguments(ARG "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/program/|/isa/")
  if(NOT sources)
    add_library(metier_${name} INTERFACE)
    target_link_libraries(metier_${name} INTERFACE ${ARG_PUBLIC})
    return()
  endif()
  add_library(metier_${name} STATIC ${sources})
  target_link_libraries(metier_${name} PUBLIC ${ARG_PUBLIC} PRIVATE metier_settings ${ARG_PRIVATE})
  target_include_directories(metier_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  if(name STREQUAL "base") # has definitions of its own
    metier_precompiled(metier_base base ${METIER_SLOW_HEADERS})
    metier_unity(metier_base)
  elseif(NOT name MATCHES "^(tensor|kernels)$") # these are about numbers: quick to read
    metier_precompiled(metier_${name} modules ${METIER_SLOW_HEADERS})
    metier_unity(metier_${name})
  endif()
  if(EXISTS ${CMAKE_SOURCE_DIR}/src/${name}/module.cmake)
    include(${CMAKE_SOURCE_DIR}/src/${name}/module.cmake) # what a folder needs beyond the rule (kernels/: flags per file)
  endif()
endfunction()
