"""The only place that knows hardware and sockets. Objects are made by app.py from the board file and the store."""
