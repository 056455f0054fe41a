from gpu_worker.compiler import stand_in

stand_in()
