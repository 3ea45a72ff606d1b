# As much of Zephyr as a module and its sample call, for this machine: `find_package(Zephyr)` finds it here. Options come from prj.conf.

enable_language(C)
add_executable(app)
add_library(zephyr_interface INTERFACE)
target_link_libraries(app PRIVATE zephyr_interface)

file(STRINGS ${CMAKE_SOURCE_DIR}/prj.conf options REGEX "=y$")
foreach(option ${options})
  string(REPLACE "=y" "" option ${option})
  set(${option} y)
endforeach()

function(zephyr_include_directories)
  foreach(folder ${ARGV})
    target_include_directories(zephyr_interface INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/${folder})
  endforeach()
endfunction()

function(zephyr_compile_definitions)
  target_compile_definitions(zephyr_interface INTERFACE ${ARGV})
endfunction()

macro(zephyr_library)
  add_library(library STATIC)
  target_link_libraries(library PUBLIC zephyr_interface)
  target_link_libraries(app PRIVATE library)
endmacro()

function(zephyr_library_sources)
  target_sources(library PRIVATE ${ARGV})
endfunction()

function(zephyr_library_compile_options)
  target_compile_options(library PRIVATE ${ARGV})
endfunction()

foreach(module ${EXTRA_ZEPHYR_MODULES})
  if(NOT EXISTS ${module}/zephyr/module.yml)
    message(FATAL_ERROR "${module} is no module")
  endif()
  add_subdirectory(${module} module)
endforeach()
