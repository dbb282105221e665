from pressroom.app import run

run()
